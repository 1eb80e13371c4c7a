"""What became of the rows as a whole: their number, repeats, and whether they are old ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gristmill.validate.chance import beyond_chance
from gristmill.validate.drifts.shift import Shift
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.statistics.distinct import expected_duplicates
from gristmill.validate.statistics.statistics import Statistics

_SAME_ROWS = 0.98
_FEWER = 0.95
_MIN_SHARED = 50
_MATTERS = 0.01
_CLUMP = 2


def row_shifts(baseline: Statistics, current: Statistics, table: TableSpec) -> Iterator[Shift]:
    """Yield what has changed of the rows."""
    yield from _growth(baseline, current, table)
    yield from _truncated(baseline, current)
    yield from _duplicates(baseline, current)


def _growth(baseline: Statistics, current: Statistics, table: TableSpec) -> Iterator[Shift]:
    growth = current.rows / baseline.rows
    told = f"{current.rows:,} rows, {growth:.3g} for each of the baseline's {baseline.rows:,}"
    rows = current.rows
    if table.min_growth is not None and growth < table.min_growth:
        edit = Edit(None, "min_growth", table.min_growth, math.floor(growth * 1e4) / 1e4)
        message = f"{told}; expected at least {table.min_growth:g}"
        yield Shift("row_count_change", None, message, None, edit, rows, baseline.rows)
    elif table.max_growth is not None and growth > table.max_growth:
        edit = Edit(None, "max_growth", table.max_growth, math.ceil(growth * 1e4) / 1e4)
        message = f"{told}; expected at most {table.max_growth:g}"
        yield Shift("row_count_change", None, message, None, edit, rows, baseline.rows)


def _truncated(baseline: Statistics, current: Statistics) -> Iterator[Shift]:
    """A table all of whose rows the larger baseline has too is a part of it.

    Both samples hold the rows of the least hashes, so a row of one that the other table has
    is in the other sample as well, up to that one's greatest hash.
    """
    old, new = baseline.sample, current.sample
    if old is None or new is None or current.rows >= _FEWER * baseline.rows:
        return
    if not _mostly_different(baseline):
        return
    known, found = np.asarray(old.hashes), np.asarray(new.hashes)
    if not old.complete and len(known):
        found = found[found <= known[-1]]
    shared = int(np.isin(found, known).sum())
    if len(found) < _MIN_SHARED or shared < _SAME_ROWS * len(found):
        return
    gone = baseline.rows - current.rows
    message = (
        f"all rows are in the baseline too, of whose {baseline.rows:,} rows {gone:,} "
        f"({100 * gone / baseline.rows:.3g} %) are gone: was the table cut short?"
    )
    yield Shift("truncated_table", None, message, None, None, gone, baseline.rows)


def _mostly_different(statistics: Statistics) -> bool:
    return statistics.repeats.count.low >= _FEWER * statistics.rows


def _duplicates(baseline: Statistics, current: Statistics) -> Iterator[Shift]:
    """More repeated rows than a sample of this size has when the baseline's rows are its source."""
    found = current.duplicates.low
    usual = expected_duplicates(baseline.repeats.multiplicities(), current.rows)
    if found <= usual + _MATTERS * current.rows:
        return
    if not _beyond_chance(found, baseline.duplicates.high, current.rows / baseline.rows):
        return
    exact = "" if current.duplicates.exact else "about "
    message = (
        f"{exact}{found:,.0f} of {current.rows:,} rows repeat an earlier row, "
        f"{usual:,.0f} are usual in so many rows of the baseline"
    )
    yield Shift("new_duplicates", None, message, None, None, round(found), current.rows)


def _beyond_chance(found: float, seen: float, growth: float) -> bool:
    """Tell whether `found` repeats are too many beside `seen` in the baseline.

    Repeats are pairs of rows, and pairs grow as the square of the rows: of all repeats in both
    tables, so much of a share is expected here (Chernoff's bound). They come in clumps, which
    makes of so many repeats half as much evidence.
    """
    total, allowed = found + seen, growth**2 / (1 + growth**2)
    return beyond_chance(round(found / _CLUMP), round(total / _CLUMP), allowed)
