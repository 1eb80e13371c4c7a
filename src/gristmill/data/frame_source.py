"""Frames, lazy frames and Parquet files as sources of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.column_kinds import told_kind
from gristmill.data.formats import scan_binary
from gristmill.data.read_log import ReadLog
from gristmill.data.table import TableLike, to_polars


class FrameSource:
    """A lazy frame with known types, collected slice by slice."""

    def __init__(self, lazy: pl.LazyFrame, rows: int, where: str | None = None) -> None:
        self._lazy, self._rows, self._where = lazy, rows, where
        self.where = Path(where).name if where else ""
        self._schema = lazy.collect_schema()

    @classmethod
    def of(cls, data: TableLike, rows: int) -> FrameSource:
        """Open a frame, or the Parquet file at a path."""
        if isinstance(data, str | Path):
            return cls(scan_binary(Path(data), "parquet"), rows, str(data))
        if isinstance(data, pl.LazyFrame):
            return cls(data, rows)
        return cls(to_polars(data).lazy(), rows)

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return self._schema.names()

    def kinds(self) -> dict[str, str]:
        """Return the kinds that the types tell."""
        return {name: told_kind(dtype) for name, dtype in self._schema.items()}

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield slices; a damaged page ends the file there, with a note."""
        start = 0
        while True:
            try:
                frame = self._lazy.slice(start, self._rows).collect(engine="streaming")
            except (pl.exceptions.PolarsError, OSError) as error:
                if self._where is None or start == 0:
                    raise DataError(
                        f"the data cannot be read: {_first_line(error)}", where=self._where,
                        fix="write it again",
                    ) from error  # fmt: skip
                log.note("cut_short", f"the data is damaged after row {start - 1}: "
                         f"{_first_line(error)}")  # fmt: skip
                return
            if frame.height:
                yield frame
            if frame.height < self._rows:
                return
            start += self._rows


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
