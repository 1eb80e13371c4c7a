"""Column types of a text table, decided by every cell of the column and by nothing else.

The rules, in order; an empty cell fits all of them:

- integer (Int64): every cell is a whole number without a plus sign or leading zeros (`007` and
  `+44` are names, not numbers) that fits 64 bits;
- float (Float64): every cell is a decimal number, `nan` or `inf`, and the whole numbers among them
  are such as a float holds exactly (all up to 2**53);
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
_LONG = r"^-?[0-9]{16,}(\.0*)?$"
BOOLEAN = r"^(?i:true|false)$"


class Kind(Enum):
    """What the cells of a column look like."""

    NOTHING = "nothing"
    INTEGER = "integer"
    LARGE = "integer that no float holds"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"

    def join(self, other: Kind) -> Kind:
        """Return the narrowest kind that holds both."""
        pair = {self, other} - {Kind.NOTHING}
        if len(pair) < 2:
            return pair.pop() if pair else Kind.NOTHING
        if pair == {Kind.INTEGER, Kind.LARGE}:
            return Kind.LARGE
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
        numbers = values.cast(pl.Int64, strict=False)
        if numbers.null_count():
            return Kind.TEXT
        return Kind.INTEGER if _exact(numbers) else Kind.LARGE
    if values.str.contains(FLOAT).all():
        # Account numbers of 17 digits among decimals would lose digits as floats.
        whole = values.filter(values.str.contains(_LONG)).str.replace(r"\.0*$", "")
        return Kind.FLOAT if _exact(whole.cast(pl.Int64, strict=False)) else Kind.TEXT
    return Kind.BOOLEAN if values.str.contains(BOOLEAN).all() else Kind.TEXT


def _exact(numbers: pl.Series) -> bool:
    """Tell whether floats hold all of the numbers (Int64, null where they do not even fit that)."""
    if numbers.null_count():
        return False
    back = numbers.cast(pl.Float64).cast(pl.Int64, strict=False)
    return bool((back == numbers).all()) and not back.null_count()


def _cast(column: pl.Expr, kind: Kind) -> pl.Expr:
    match kind:
        case Kind.INTEGER | Kind.LARGE:
            return column.cast(pl.Int64)
        case Kind.FLOAT:
            return column.str.to_lowercase().cast(pl.Float64)
        case Kind.BOOLEAN:
            return column.str.to_lowercase() == "true"
        case _:
            return column
