"""Which rows of a column break its limits, a whole part of a table at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import polars as pl

from gristmill.validate.checks.cells import conformed, read_as_missing
from gristmill.validate.kinds import cast, kind_of, normalised
from gristmill.validate.rows.limits import Limits
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.statistics import text

Masked = Iterator[tuple[str, pl.Series]]
"""Finding code and Boolean[n], no nulls; masks without a bad row are left out."""


def column_masks(column: pl.Series, spec: FeatureSpec, limits: Limits) -> Masked:
    """Yield the code and the rows of each limit that some row of a column breaks.

    Cells are read as by `validate check`.
    """
    column = read_as_missing(column, spec)
    rules = _list_masks if column.dtype.is_nested() else _plain_masks
    for code, mask in rules(column, spec, limits):
        filled = mask.fill_null(value=False)
        if filled.any():
            yield code, filled


def _plain_masks(column: pl.Series, spec: FeatureSpec, limits: Limits) -> Masked:
    if limits.nesting and len(column) > column.null_count():
        yield "nesting", column.is_not_null()
        return
    yield from _cell_masks(column, spec, limits)


def _cell_masks(column: pl.Series, spec: FeatureSpec, limits: Limits) -> Masked:
    if limits.kind == "any":
        cells, missing = normalised(column), column.is_null()
    else:
        cells, bad = conformed(column, spec)
        missing = cells.is_null() if bad is None else cells.is_null() & ~bad
        if limits.typed and bad is not None:
            yield "wrong_type", bad
    if limits.filled:
        yield "missing_values", missing
    if limits.domain is not None:
        known = pl.Series(sorted(limits.domain), dtype=cells.dtype, strict=False)
        yield "unseen_value", ~cells.is_in(known.implode())
    for rule in _BY_KIND.get(kind_of(cells.dtype), ()):
        yield from rule(cells, limits)


def _numbers(cells: pl.Series, limits: Limits) -> Masked:
    finite = cells
    if cells.dtype.is_float():
        if not limits.nan:
            yield "not_finite", cells.is_nan()
        if not limits.infinite:
            yield "not_finite", cells.is_infinite()
        finite = cells.set(~cells.is_finite(), None) if not cells.is_finite().all() else cells
    yield from _outside(finite, limits.low, limits.high, "out_of_range")


def _texts(cells: pl.Series, limits: Limits) -> Masked:
    if limits.shortest is not None or limits.longest is not None:
        lengths = text.lengths(cells).cast(pl.Int64)
        yield from _outside(lengths, limits.shortest, limits.longest, "length_out_of_range")
    if limits.pattern is not None:
        yield "pattern_mismatch", ~cells.str.contains(f"^(?:{limits.pattern})$")
    if limits.whole_text:
        yield "broken_encoding", text.is_broken(cells)


def _times(cells: pl.Series, limits: Limits) -> Masked:
    low, high = (_moment(bound) for bound in (limits.earliest, limits.latest))
    yield from _outside(cells.to_physical(), low, high, "out_of_range")


def _moment(bound: str | None) -> int | None:
    """A bound of time in microseconds since 1970-01-01 UTC."""
    if bound is None:
        return None
    moment = cast(pl.Series([bound]), "time").column.to_physical()[0]
    return None if moment is None else int(moment)


def _outside(cells: pl.Series, low: float | None, high: float | None, code: str) -> Masked:
    sides = [] if low is None else [cells < low]
    sides += [] if high is None else [cells > high]
    if sides:
        yield code, sides[0] | sides[-1]


_BY_KIND: dict[str, tuple[Callable[[pl.Series, Limits], Masked], ...]] = {
    "int": (_numbers,),
    "float": (_numbers,),
    "string": (_texts,),
    "time": (_times,),
}


def _list_masks(column: pl.Series, spec: FeatureSpec, limits: Limits) -> Masked:
    if limits.filled:
        yield "missing_values", column.is_null()
    leaves = pl.DataFrame({"row": pl.int_range(len(column), eager=True), "cell": column})
    depth = 0
    while leaves.schema["cell"].is_nested():
        if isinstance(leaves.schema["cell"], pl.Array):
            leaves = leaves.with_columns(pl.col("cell").arr.to_list())
        elif not isinstance(leaves.schema["cell"], pl.List):
            return
        if not depth:
            sizes = leaves["cell"].list.len()
            yield from _outside(sizes, limits.fewest, limits.most, "value_count")
        depth += 1
        leaves = leaves.explode("cell")
    if limits.kind != "any" and depth != limits.nesting:
        yield "nesting", column.is_not_null()
        return
    for code, mask in _cell_masks(leaves["cell"], spec, replace(limits, filled=False)):
        yield code, _rows_of(leaves, mask, len(column))


def _rows_of(leaves: pl.DataFrame, mask: pl.Series, rows: int) -> pl.Series:
    """The rows of the table that a mask over the elements of its lists hits."""
    hit = leaves["row"].filter(mask.fill_null(value=False))
    return pl.int_range(rows, eager=True).is_in(hit.unique().implode())
