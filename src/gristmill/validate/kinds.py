"""The kinds of values that statistics and schemas speak of, and casting columns to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import polars as pl

Kind = Literal["string", "int", "float", "bool", "time", "bytes"]
KINDS: tuple[Kind, ...] = ("string", "int", "float", "bool", "time", "bytes")

_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_NORMAL = frozenset({pl.String, pl.Int64, pl.UInt64, pl.Float64, pl.Boolean, pl.Binary})
_WIDE = (pl.Int128, pl.UInt128)
_ZONED_FORMAT = "%Y-%m-%d %H:%M:%S%.f%#z"


@dataclass(frozen=True, slots=True)
class Cast:
    """A column cast to a kind: `column` has nulls where `bad` (Boolean[n]) is true."""

    column: pl.Series
    bad: pl.Series


@lru_cache(maxsize=1024)
def kind_of(dtype: pl.DataType) -> str:
    """Name the kind of a Polars type: one of `KINDS`, or "other" for nested types."""
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "string"
    if dtype.is_integer():
        return "int"
    if dtype.is_float() or dtype.is_decimal():
        return "float"
    if dtype == pl.Boolean:
        return "bool"
    if dtype == pl.Binary:
        return "bytes"
    return "time" if dtype in (pl.Date, pl.Datetime) else "other"


def cast(column: pl.Series, kind: Kind) -> Cast:
    """Cast a column cell by cell; a cell that does not fit becomes null and is marked bad.

    Text is parsed: spaces around a number are ignored, an empty cell is missing, `7.0` is an
    integer, ISO 8601 is a time. Whole floats are integers, and NaN in a float column read as
    integers is missing (pandas spells missing that way). Nothing is rounded, nothing overflows.
    """
    column = normalised(column)
    if kind_of(column.dtype) == "string" and kind != "string":
        stripped = column.str.strip_chars()
        column = pl.select(pl.when(stripped != "").then(stripped)).to_series().alias(column.name)
    if kind == "int" and column.dtype == pl.Float64:
        column = column.fill_nan(None)
    fitting = _fit(column, kind)
    return Cast(fitting, column.is_not_null() & fitting.is_null())


def normalised(column: pl.Series) -> pl.Series:
    """Bring the many types of one kind to one: text, Float64, microseconds UTC.

    Integers become Int64 or UInt64, and stay of 128 bits where those do not hold them.
    """
    if column.dtype in _NORMAL:
        return column
    kind = kind_of(column.dtype)
    if kind == "string":
        return column.cast(pl.String)
    if kind == "float":
        return column.cast(pl.Float64)
    if kind == "int":
        return _narrowed(column) if column.dtype in _WIDE else column.cast(pl.Int64)
    if kind == "time":
        zoned = isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else column
        return utc.cast(pl.Datetime("us"))
    return column


def _narrowed(column: pl.Series) -> pl.Series:
    """Bring 128-bit integers to 64 bits where all of them fit."""
    for dtype in (pl.Int64, pl.UInt64):
        narrow = column.cast(dtype, strict=False)
        if narrow.null_count() == column.null_count():
            return narrow
    return column


def _fit(column: pl.Series, kind: Kind) -> pl.Series:
    """Return the cells that fit `kind`, with null for those that do not."""
    found = kind_of(column.dtype)
    if found == kind:
        return column
    if found == "string":
        return _PARSERS[kind](column)
    if (found, kind) == ("int", "float"):
        return column.cast(pl.Float64)
    if (found, kind) == ("float", "int"):
        whole = column.is_finite() & (column == column.floor())
        return column.set(~whole, None).cast(pl.Int64, strict=False)
    return pl.Series(column.name, [None], dtype=_TYPES[kind]).new_from_index(0, len(column))


def _parse_int(column: pl.Series) -> pl.Series:
    plain = column.cast(pl.Int64, strict=False)
    # Columns with gaps that went through pandas come back as "7.0".
    return plain.fill_null(
        column.str.replace(r"^([+-]?\d+)\.0+$", "$1").cast(pl.Int64, strict=False)
    )


def _parse_float(column: pl.Series) -> pl.Series:
    return column.cast(pl.Float64, strict=False)


def _parse_bool(column: pl.Series) -> pl.Series:
    return column.str.to_lowercase().replace_strict(_WORDS, default=None, return_dtype=pl.Boolean)


def _parse_time(column: pl.Series) -> pl.Series:
    spaced = column.str.replace(r"^(\d{4}-\d\d-\d\d)[Tt ]", "$1 ").str.replace(r"[Zz]$", "+00:00")
    parsed = [spaced.str.to_datetime(form, strict=False, time_unit="us") for form in _TIME_FORMATS]
    zoned = spaced.str.to_datetime(_ZONED_FORMAT, strict=False, time_unit="us", time_zone="UTC")
    result = zoned.dt.replace_time_zone(None)
    for naive in parsed:
        result = result.fill_null(naive)
    return result


_PARSERS: dict[Kind, Callable[[pl.Series], pl.Series]] = {
    "bytes": lambda column: column.cast(pl.Binary),
    "int": _parse_int,
    "float": _parse_float,
    "bool": _parse_bool,
    "time": _parse_time,
}
_TYPES: dict[Kind, pl.DataType | type[pl.DataType]] = {
    "string": pl.String,
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
    "time": pl.Datetime("us"),
    "bytes": pl.Binary,
}
