"""Where the rows to vote on come from: a frame in memory, or a file read part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gristmill.data.table import ROW_ID, TableLike, as_table, with_row_id

if TYPE_CHECKING:
    import polars as pl


class RowSource(Protocol):
    """A table with row ids, handed out as frames of so many rows, in order."""

    rows: int | None
    """How many there are; None where that is not known before all are read."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the partitions."""

    def row_ids(self) -> pl.Series:
        """Return the ids of all rows; asked after the frames."""

    def whole(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return all rows, with `row_id` and at least these columns; none named: all columns."""


def open_source(table: TableLike, partition_rows: int) -> RowSource:
    """Return the rows of a table; those of a file are not read yet.

    Raises:
        DataError: the table cannot be used, or its row ids cannot.
    """
    if isinstance(table, str | Path):
        return FileRows(Path(table), partition_rows)
    return FrameRows(as_table(table), partition_rows)


class FrameRows:
    """The rows of a frame in memory, which is sliced and not copied."""

    def __init__(self, frame: pl.DataFrame, partition_rows: int) -> None:
        self._frame, self._step = frame, partition_rows
        self.rows: int | None = frame.height

    def frames(self) -> Iterator[pl.DataFrame]:
        """See `RowSource`."""
        for start in range(0, self._frame.height, self._step):
            yield self._frame.slice(start, self._step)

    def row_ids(self) -> pl.Series:
        """See `RowSource`."""
        return self._frame[ROW_ID]

    def whole(self, columns: Sequence[str]) -> pl.DataFrame:
        """See `RowSource`."""
        return self._frame


class FileRows:
    """The rows of a file: a partition is in memory at a time, and all row ids.

    Parquet, Arrow and plain UTF-8 CSV are read so; other files are read whole by `read_partitions`.
    """

    def __init__(self, path: Path, partition_rows: int) -> None:
        from gristmill.data.formats import read_partitions

        self._path = path
        self._parts = read_partitions(path, partition_rows)
        self._first = next(self._parts)
        self._ids = self._own_ids()
        self.rows: int | None = None if self._ids is None else len(self._ids)
        self._read = 0

    def frames(self) -> Iterator[pl.DataFrame]:
        """See `RowSource`. May be asked once."""
        part: pl.DataFrame | None = self._first
        del self._first
        while part is not None:
            if part.height:
                yield self._with_ids(part)
            self._read += part.height
            part = next(self._parts, None)

    def row_ids(self) -> pl.Series:
        """See `RowSource`."""
        import polars as pl

        if self._ids is not None:
            return self._ids
        return pl.int_range(self._read, eager=True).alias(ROW_ID)

    def whole(self, columns: Sequence[str]) -> pl.DataFrame:
        """See `RowSource`."""
        from gristmill.data.formats import scan_table

        lazy = scan_table(self._path)
        if columns:
            names = lazy.collect_schema().names()
            lazy = lazy.select(name for name in names if name in {*columns, ROW_ID})
        return with_row_id(lazy.collect())

    def _own_ids(self) -> pl.Series | None:
        from gristmill.data.formats import scan_table

        if ROW_ID not in self._first.columns:
            return None
        return with_row_id(scan_table(self._path).select(ROW_ID).collect())[ROW_ID]

    def _with_ids(self, part: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        if self._ids is not None:
            return part
        numbered = part.with_row_index(ROW_ID, offset=self._read)
        return numbered.with_columns(pl.col(ROW_ID).cast(pl.Int64))
