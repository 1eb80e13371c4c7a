"""Partitions of a table, to be read where they are voted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gristmill.data.table import ROW_ID

if TYPE_CHECKING:
    import polars as pl

    from gristmill.data.cell_types import Kind
    from gristmill.data.csv_table import CsvPart
    from gristmill.data.file_part import FilePart


class RowPart(Protocol):
    """Some consecutive rows of a table, small unless it holds them; travels to workers."""

    @property
    def start(self) -> int:
        """The place of its first row in the table."""

    @property
    def rows(self) -> int:
        """How many it has."""

    @property
    def where(self) -> str:
        """Its file and rows, for messages."""

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the rows, with `row_id` and at least these columns, where there are such; by
        default all.

        Raises:
            DataError: they cannot be read here.
        """

    def row_ids(self) -> pl.Series:
        """Return the ids of the rows, and read no more than that takes."""

    def mark(self) -> object | None:
        """Return what tells these rows from all others without reading them, if anything does."""


@dataclass(frozen=True, slots=True)
class HeldPart:
    """Rows in memory.

    Attributes:
        start: the place of the first of them in the table.
        frame: the rows, with `row_id`.
    """

    start: int
    frame: pl.DataFrame

    @property
    def rows(self) -> int:
        """See `RowPart`."""
        return self.frame.height

    @property
    def where(self) -> str:
        """See `RowPart`."""
        return _rows_from(self.start, self.rows)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """See `RowPart`."""
        return self.frame

    def row_ids(self) -> pl.Series:
        """See `RowPart`."""
        return self.frame[ROW_ID]

    def mark(self) -> None:
        """See `RowPart`: nothing but the rows themselves."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """Rows of Parquet and Arrow files, or of whatever else `file_parts` cuts.

    Attributes:
        part: the rows.
        state: what the content of the files that they are in is known by; None where nothing tells.
    """

    part: FilePart
    state: object | None

    @property
    def start(self) -> int:
        """See `RowPart`."""
        return self.part.start

    @property
    def rows(self) -> int:
        """See `RowPart`."""
        return self.part.rows

    @property
    def where(self) -> str:
        """See `RowPart`."""
        return self.part.where

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """See `RowPart`."""
        if columns is not None:
            columns = [name for name in self.part.layout.columns if name in columns]
        return self.part.read(columns)

    def row_ids(self) -> pl.Series:
        """See `RowPart`."""
        if self.part.layout.own_ids is None:
            return numbers(self.start, self.rows)
        return self.part.read([])[ROW_ID]

    def mark(self) -> object | None:
        """See `RowPart`."""
        return self.state and [self.state, self.part.pieces, self.start, self.part.layout]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Records of a delimited file, with the types that all of the file's cells fit.

    Attributes:
        start: the place of the first of them in the table.
        rows: how many there are.
        text: where they stand.
        kinds: the type of each column.
        state: what the file's content is known by; None where nothing tells.
    """

    start: int
    rows: int
    text: CsvPart
    kinds: Mapping[str, Kind]
    state: object | None

    @property
    def where(self) -> str:
        """See `RowPart`."""
        return f"{self.text.path}, {_rows_from(self.start, self.rows)}"

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """See `RowPart`."""
        from gristmill.data.cell_types import casts

        wanted = self.kinds.keys() & {ROW_ID, *(self.kinds if columns is None else columns)}
        kinds = {name: kind for name, kind in self.kinds.items() if name in wanted}
        frame = self.text.read_text().select(casts(kinds))
        if ROW_ID in kinds:
            return frame.select(ROW_ID, *(name for name in kinds if name != ROW_ID))
        return frame.insert_column(0, numbers(self.start, self.rows))

    def row_ids(self) -> pl.Series:
        """See `RowPart`."""
        return self.read([])[ROW_ID] if ROW_ID in self.kinds else numbers(self.start, self.rows)

    def mark(self) -> object | None:
        """See `RowPart`."""
        return self.state and [self.state, self.text, self.start, self.kinds]


def _rows_from(start: int, rows: int) -> str:
    return f"rows {start} to {start + rows}"


def numbers(start: int, rows: int) -> pl.Series:
    """Return the ids of rows that have none of their own: their places in the table, int64."""
    import polars as pl

    return pl.int_range(start, start + rows, eager=True).alias(ROW_ID)
