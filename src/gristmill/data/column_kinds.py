"""The kinds of columns in streams: told by types, or decided by nearly all of the first cells."""

from __future__ import annotations

import polars as pl

from gristmill.data import cell_types

_NEARLY_ALL = 0.95
_FIRST = 12
# A code column of few leading zeros (postal codes) has them in one cell of 20; a mistyped number
# hardly ever begins with one.
_CODES = 0.01
_CODE = r"^[+-]?0[0-9]"
_TIME = r"^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?)?$"
_PATTERNS = {
    "int": cell_types.INTEGER,
    "float": cell_types.FLOAT,
    "bool": cell_types.BOOLEAN,
    "time": _TIME,
}
_ZONE = r":.*[+-]\d\d:?\d\d$"
_TYPES: dict[str, pl.DataType] = {
    "int": pl.Int64(), "float": pl.Float64(), "bool": pl.Boolean(), "time": pl.Datetime("us"),
}  # fmt: skip


def told_kind(dtype: pl.DataType) -> str:
    """Name the kind of a Polars type: int, float, bool, time, string, bytes or other."""
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
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


def dtype_of(kind: str) -> pl.DataType:
    """Return the type of a text file's columns of this kind."""
    return _TYPES.get(kind, pl.String())


def decided_kind(cells: pl.Series) -> str | None:
    """Return the kind that at least 95 % of the text cells fit, None where all are missing."""
    values = cells.drop_nulls()
    if not len(values):
        return None
    for kind, pattern in _PATTERNS.items():
        if _nearly_all(values, pattern):
            codes = kind in ("int", "float") and _share(values, _CODE) >= _CODES
            return "string" if codes else kind
    return "string"


def fitted(cells: pl.Series, kind: str) -> pl.Series:
    """Return text cells in the type of the kind if each of them fits it, else as they are.

    Integers beyond Int64 are UInt64 where all fit that.
    """
    found = cell_types.kinds(cells.to_frame())[cells.name]
    if found is cell_types.Kind.NOTHING:
        return cells.cast(dtype_of(kind))
    if kind == "time":
        return _times(cells)
    if kind == "int" and found is cell_types.Kind.TEXT:
        return _large_integers(cells)
    fits = {
        "int": {cell_types.Kind.INTEGER, cell_types.Kind.LARGE},
        "float": {cell_types.Kind.INTEGER, cell_types.Kind.FLOAT},
        "bool": {cell_types.Kind.BOOLEAN},
    }
    if found not in fits.get(kind, set()):
        return cells
    typed = cells.to_frame().select(cell_types.casts({cells.name: found})).to_series()
    return typed.cast(dtype_of(kind))


def _nearly_all(values: pl.Series, pattern: str) -> bool:
    """Tell whether 95 % fit; where the first cells already rule it out, only they are looked at."""
    first = values[: len(values) // _FIRST + 1]
    odd = len(first) - int(first.str.contains(pattern).sum())
    if odd > (1 - _NEARLY_ALL) * len(values) + 1:
        return False
    return _share(values, pattern) >= _NEARLY_ALL


def _share(values: pl.Series, pattern: str) -> float:
    return int(values.str.contains(pattern).sum()) / len(values)


def _large_integers(cells: pl.Series) -> pl.Series:
    if not cells.str.contains(cell_types.INTEGER).all():
        return cells
    large = cells.cast(pl.UInt64, strict=False)
    return large if large.null_count() == cells.null_count() else cells


def _times(cells: pl.Series) -> pl.Series:
    """Parse ISO 8601 as microseconds, in UTC where a zone is given."""
    if not cells.str.contains(_TIME).all():
        return cells
    alike = _alike_times(cells)
    if alike.null_count() == cells.null_count():
        return alike
    spaced = cells.str.replace(r"^(.{10})[Tt]", "$1 ").str.replace(r"[Zz]$", "+0000")
    spaced = spaced.str.replace(r"^(.{10})$", "$1 00:00:00").str.replace(
        r"^(.{16})([+-]|$)", "$1:00$2"
    )
    zoned = spaced.str.contains(_ZONE)
    plain = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    if zoned.any():
        utc = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="us",
                                     time_zone="UTC").dt.replace_time_zone(None)  # fmt: skip
        plain = plain.fill_null(utc)
    return plain if plain.null_count() == cells.null_count() else cells


def _alike_times(cells: pl.Series) -> pl.Series:
    """Parse times that are all written like the first one, null where another is not."""
    first = str(cells.drop_nulls().first())
    if len(first) == len("2024-01-01"):
        return cells.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    form = f"%Y-%m-%d{first[10]}%H:%M:%S"
    return cells.str.to_datetime(form, strict=False, time_unit="us")
