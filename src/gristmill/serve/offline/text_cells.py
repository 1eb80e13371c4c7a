"""Cells of text files read as what the signature asks for, each on its own.

Whether a cell is a number doesn't depend on the other cells of its column: the one that is not is
one bad row. What reads as what is said in `gristmill.data.cell_types`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from gristmill.data.cell_types import BOOLEAN, FLOAT, INTEGER
from gristmill.store.signature import Field

_SCALARS = ("int", "float", "bool")


class ReadCells(NamedTuple):
    """Cells that were read.

    Attributes:
        frame: columns typed by the signature, null where a cell doesn't read so.
        unread: by column, bool[n]: which cells hold something that doesn't.
    """

    frame: pl.DataFrame
    unread: dict[str, pl.Series]


def read_cells(frame: pl.DataFrame, fields: Sequence[Field]) -> ReadCells:
    """Read the columns of texts for which the signature asks for a number or a bool."""
    texts = [
        field
        for field in fields
        if frame.schema.get(field.name) == pl.String and field.kind in _SCALARS
    ]
    typed = {field.name: _read(frame[field.name], field) for field in texts}
    unread = {name: column.is_null() & frame[name].is_not_null() for name, column in typed.items()}
    return ReadCells(
        frame.with_columns(typed.values()),
        {name: mask for name, mask in unread.items() if mask.any()},
    )


def _read(cells: pl.Series, field: Field) -> pl.Series:
    if field.kind == "int":
        fits, value = INTEGER, cells.cast(pl.Int64, strict=False)
    elif field.kind == "float":
        fits, value = FLOAT, _floats(cells)
    else:
        fits, value = BOOLEAN, cells.str.to_lowercase() == "true"
    found = pl.select(pl.when(cells.str.contains(fits)).then(value)).to_series()
    return found.alias(cells.name)


def _floats(cells: pl.Series) -> pl.Series:
    """Return numbers; `NaN` and `Inf` in any case, which is looked at only where it may matter."""
    found = cells.cast(pl.Float64, strict=False)
    if found.null_count() == cells.null_count():
        return found
    return cells.str.to_lowercase().cast(pl.Float64, strict=False)
