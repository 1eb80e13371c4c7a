"""Frames, lazy frames and Parquet files as sources of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.column_kinds import told_kind
from gristmill.data.formats import scan_binary, streamed
from gristmill.data.parquet_groups import RowGroup, row_groups
from gristmill.data.pieces import Binary, HeldRows, Piece, RowRange
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath, RemotePath
from gristmill.data.store_calls import watched
from gristmill.data.store_errors import is_store_error, store_error
from gristmill.data.table import TableLike, to_polars


class FrameSource:
    """A lazy frame with known types, collected slice by slice."""

    def __init__(
        self, lazy: pl.LazyFrame, rows: int, path: AnyPath | None = None, kind: Binary = "parquet"
    ) -> None:
        self._lazy, self._rows, self._path, self._format = lazy, rows, path, kind
        self.where = path.name if path else ""
        self.schema = lazy.collect_schema()

    @classmethod
    def of(cls, data: TableLike | RemotePath, rows: int) -> FrameSource:
        """Open a frame, or the Parquet file at a path."""
        if isinstance(data, str):
            data = Path(data)
        if isinstance(data, Path | RemotePath):
            return cls(scan_binary(data, "parquet"), rows, data)
        if isinstance(data, pl.LazyFrame):
            return cls(data, rows)
        return cls(to_polars(data).lazy(), rows)

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return self.schema.names()

    def kinds(self) -> dict[str, str]:
        """Return the kinds that the types tell."""
        return {name: told_kind(dtype) for name, dtype in self.schema.items()}

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield slices; a damaged page ends the file there, with a note."""
        start = 0
        while True:
            try:
                frame = streamed(self._lazy.slice(start, self._rows), self._path)
            except (pl.exceptions.PolarsError, OSError) as error:
                if is_store_error(error):
                    raise store_error(str(self._path), error) from error
                if self._path is None or start == 0:
                    raise DataError(
                        f"the data cannot be read: {_first_line(error)}",
                        where=str(self._path) if self._path else None, fix="write it again",
                    ) from error  # fmt: skip
                log.note("cut_short", f"the data is damaged after row {start - 1}: "
                         f"{_first_line(error)}")  # fmt: skip
                return
            if frame.height:
                yield frame
            if frame.height < self._rows:
                return
            start += self._rows

    def pieces(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[Piece]:
        """Yield the row groups of a Parquet file, all rows of an Arrow file, or the frame."""
        if self._path is None:
            yield HeldRows(self._lazy.collect())
            return
        path = self._path.absolute()
        start = 0
        for group in _groups(path, self._format, self._lazy):
            yield RowRange(path, self._format, start, group.rows, group.size)
            start += group.rows


def _groups(path: AnyPath, kind: Binary, lazy: pl.LazyFrame) -> list[RowGroup]:
    if kind != "parquet":
        rows = int(watched(lazy.select(pl.len()).collect, path).item())
        return [RowGroup(rows, path.stat().st_size)] if rows else []
    try:
        with path.open("rb") as file:
            return [group for group in row_groups(file) if group.rows]
    except ValueError as error:
        raise DataError(f"the parquet data is damaged: {error}", where=str(path),
                        fix="write the file again") from error  # fmt: skip


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
