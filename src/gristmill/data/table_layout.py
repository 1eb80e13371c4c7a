"""What all parts of one table have in common: its columns, their kinds, where row ids come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.data.column_kinds import dtype_of
from gristmill.data.odd_values import ODD_VALUES
from gristmill.data.table import ROW_ID


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The columns of a table made of files that may lack some of them.

    Attributes:
        columns: name -> kind, in order; the data's own `row_id` apart.
        own_ids: the kind of the data's own row ids, None where rows are numbered.
        odd: whether there is a last column of odd values (`gristmill.data.odd_values`).
    """

    columns: dict[str, str]
    own_ids: str | None = None
    odd: bool = False

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column that files may have."""
        return self.columns | ({ROW_ID: self.own_ids} if self.own_ids else {})

    def only(self, columns: Sequence[str]) -> TableLayout:
        """Return the layout of some of the columns, in the order given; `row_id` stays as it is.

        Raises:
            UsageError: the table has no such column.
        """
        named = [name for name in columns if name not in (ROW_ID, ODD_VALUES)]
        if unknown := [name for name in named if name not in self.columns]:
            raise UsageError(
                f"the table has no column {unknown[0]!r}",
                fix=f"use some of its columns: {', '.join(self.columns)}",
            )
        kinds = {name: self.columns[name] for name in named}
        return TableLayout(kinds, self.own_ids, self.odd and ODD_VALUES in columns)

    def absent(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that a file with these lacks."""
        return [name for name in self.columns if name not in columns]

    def filled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a file with the columns that it lacks, empty."""
        fill = [pl.lit(None, dtype_of(self.columns[name])).alias(name)
                for name in self.absent(frame.columns)]  # fmt: skip
        if self.odd and ODD_VALUES not in frame.columns:
            fill.append(pl.lit(None, pl.String).alias(ODD_VALUES))
        return frame.with_columns(fill) if fill else frame

    def with_ids(self, part: pl.DataFrame, start: int) -> pl.DataFrame:
        """Return the table's columns of a part, `row_id` first.

        Args:
            part: rows with all columns.
            start: number of the first of them in the whole table: the id of a row without one.
        """
        numbers = pl.int_range(start, start + pl.len(), dtype=pl.Int64)
        ids = numbers
        if ROW_ID in part.columns:
            ids = pl.col(ROW_ID)
            if self.own_ids != "int" or not part[ROW_ID].dtype.is_integer():
                ids = ids.cast(pl.String)
            if part[ROW_ID].null_count():
                ids = pl.coalesce(ids.cast(pl.String), pl.format("row {}", numbers))
        last = [ODD_VALUES] if self.odd else []
        return part.select(ids.alias(ROW_ID), *self.columns, *last)

    def empty(self) -> pl.DataFrame:
        """Return a part without rows."""
        columns: dict[str, pl.DataType] = {
            name: dtype_of(kind) for name, kind in self.kinds.items()
        }
        if self.odd:
            columns[ODD_VALUES] = pl.String()
        return self.with_ids(pl.DataFrame(schema=columns), 0)
