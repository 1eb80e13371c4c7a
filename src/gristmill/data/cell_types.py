"""Column types of a text table, decided by every cell of the column and by nothing else.

The rules, in order; an empty cell fits all of them:

- integer (Int64): every cell is a whole number without a plus sign or leading zeros (`007` and
  `+44` are names, not numbers) that fits 64 bits;
- float (Float64): every cell is a decimal number, `nan` or `inf`;
- boolean: every cell is `true` or `false` in any case;
- text (String): everything else, and a column with no values at all.

One odd cell makes a text column, never an error and never a lost value: what to make of it is
for the schema to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import polars as pl

INTEGER = r"^-?(0|[1-9][0-9]*)$"
FLOAT = r"^-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^(?i:-?(nan|inf))$"
BOOLEAN = r"^(?i:true|false)$"


class Kind(Enum):
    """What the cells of a column look like."""

    NOTHING = "nothing"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"

    def join(self, other: Kind) -> Kind:
        """Return the narrowest kind that holds both."""
        pair = {self, other} - {Kind.NOTHING}
        if len(pair) < 2:
            return pair.pop() if pair else Kind.NOTHING
        return Kind.FLOAT if pair == {Kind.INTEGER, Kind.FLOAT} else Kind.TEXT


def kinds(frame: pl.DataFrame) -> dict[str, Kind]:
    """Return the kind of each column of a frame of strings, nulls where cells are empty."""
    return {column.name: _kind(column) for column in frame}


def join_kinds(one: Mapping[str, Kind], other: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return the kinds that hold both of two parts of a table with the same columns."""
    return {name: kind.join(other[name]) for name, kind in one.items()}


def casts(found: Mapping[str, Kind]) -> list[pl.Expr]:
    """Return the expressions that turn the columns of strings into columns of these kinds."""
    return [_cast(pl.col(name), kind) for name, kind in found.items()]


def _kind(column: pl.Series) -> Kind:
    values = column.drop_nulls()
    if not len(values):
        return Kind.NOTHING
    if values.str.contains(INTEGER).all():
        fits = values.cast(pl.Int64, strict=False).null_count() == 0
        return Kind.INTEGER if fits else Kind.TEXT
    if values.str.contains(FLOAT).all():
        # 20-digit account numbers among decimals would lose digits as floats.
        whole = values.filter(values.str.contains(INTEGER))
        exact = whole.cast(pl.Int64, strict=False).null_count() == 0
        return Kind.FLOAT if exact else Kind.TEXT
    return Kind.BOOLEAN if values.str.contains(BOOLEAN).all() else Kind.TEXT


def _cast(column: pl.Expr, kind: Kind) -> pl.Expr:
    match kind:
        case Kind.INTEGER:
            return column.cast(pl.Int64)
        case Kind.FLOAT:
            return column.str.to_lowercase().cast(pl.Float64)
        case Kind.BOOLEAN:
            return column.str.to_lowercase() == "true"
        case _:
            return column
