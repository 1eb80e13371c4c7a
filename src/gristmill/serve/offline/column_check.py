"""Whole columns held against a signature at once: which rows break it.

The same verdicts, cell by cell, as `check_records` gives, which is asked only to explain the few
rows that are found here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from gristmill.data.typed_cells import extremes
from gristmill.store.signature import Field

_LEAST, _MOST = -(2**63), 2**63 - 1
_NARROW = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
_TEXTS = (pl.String, pl.Categorical, pl.Enum)


def broken_rows(frame: pl.DataFrame, fields: Sequence[Field]) -> pl.Series:
    """Return bool[n]: whether a row breaks the signature.

    Args:
        frame: has a column for each field that is required; others may be absent.
        fields: strings, ints, floats and bools.
    """
    checks = [check for field in fields if (check := _check(frame, field)) is not None]
    nothing = pl.repeat(False, frame.height, dtype=pl.Boolean)  # gives literals their length
    # Nearly always no cell of a column is wrong, and then its verdicts need no column of their own.
    found = frame.select(check.any().alias(str(at)) for at, check in enumerate(checks))
    checks = [check for at, check in enumerate(checks) if found[str(at)][0]] if checks else []
    return frame.select(pl.any_horizontal(nothing, *checks).alias("broken")).to_series()


def _check(frame: pl.DataFrame, field: Field) -> pl.Expr | None:
    """Return what tells that a cell is wrong, None where none can be."""
    if field.name not in frame.columns:
        return pl.lit(True) if field.required else None
    dtype, cell = frame.schema[field.name], pl.col(field.name)
    checks = [cell.is_null()] if field.required and frame[field.name].null_count() else []
    if dtype == pl.Null:
        if field.required:
            return pl.lit(True)
    elif not _is_sound(frame[field.name], field):
        checks += _value_checks(field, dtype, cell)
    if not checks:
        return None
    # A comparison with null is null, and a null that may be there is right.
    return pl.any_horizontal(checks).fill_null(False)


def _is_sound(cells: pl.Series, field: Field) -> bool:
    """Tell whether a column is of floats all of which are right, as they nearly always are.

    If their sum is finite, each of them is. Three figures of a column take a fifth of the time of
    looking at each cell.
    """
    if field.kind != "float" or not cells.dtype.is_float() or not math.isfinite(cells.sum()):
        return False
    if field.min is None and field.max is None:
        return True
    found = extremes(cells)
    if found is None:
        return True
    least, most = found
    return (field.min is None or least >= field.min) and (field.max is None or most <= field.max)


def _value_checks(field: Field, dtype: pl.DataType, cell: pl.Expr) -> list[pl.Expr]:
    if field.kind == "string" and dtype in _TEXTS:
        return _text_checks(field, cell.cast(pl.String))
    if field.kind in ("int", "float") and dtype.is_integer():
        return _whole_checks(field, dtype, cell)
    if field.kind == "float" and dtype.is_float():
        return _float_checks(field, cell)
    if field.kind == "bool" and dtype == pl.Boolean:
        return []
    return [cell.is_not_null()]


def _text_checks(field: Field, cell: pl.Expr) -> list[pl.Expr]:
    checks = []
    if field.max_length is not None:
        checks.append(cell.str.len_chars() > field.max_length)
    if field.domain is not None:
        checks.append(~cell.is_in(pl.Series(field.domain, dtype=pl.String).implode()))
    return checks


def _float_checks(field: Field, cell: pl.Expr) -> list[pl.Expr]:
    checks, exact = [~cell.is_finite()], cell.cast(pl.Float64)
    if field.min is not None:
        checks.append(exact < field.min)
    if field.max is not None:
        checks.append(exact > field.max)
    return checks


def _whole_checks(field: Field, dtype: pl.DataType, cell: pl.Expr) -> list[pl.Expr]:
    """Compare whole numbers with whole numbers: as floats, large ones would lose digits."""
    least, most = _least(field.min), _most(field.max)
    if least > most:
        return [cell.is_not_null()]
    wide = cell.cast(pl.Int64, strict=False)
    checks = [wide < least] if least > _LEAST else []
    checks += [wide > most] if most < _MOST else []
    if dtype not in _NARROW:  # null where it takes more than 64 bits
        checks.append(wide.is_null() & cell.is_not_null())
    return checks


def _least(bound: float | None) -> int:
    """Return the least 64-bit number that is allowed, or one more than there is."""
    if bound is None or math.isnan(bound) or bound <= _LEAST:
        return _LEAST
    return _MOST + 1 if bound > _MOST else math.ceil(bound)


def _most(bound: float | None) -> int:
    if bound is None or math.isnan(bound) or bound >= _MOST:
        return _MOST
    return _LEAST - 1 if bound < _LEAST else math.floor(bound)
