"""Values with their counts: sorted, each once, what most statistics are computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values: TypeAlias = NDArray[Any]
    Counts: TypeAlias = NDArray[np.int64]

_WIDEST = 1 << 16


def count_values(values: Values) -> tuple[Values, Counts]:
    """Return the distinct values, ascending, and how often each occurs: dtype[m], int64[m].

    NaNs come last and count as one value. Integers that lie close together are counted without
    sorting.
    """
    if len(values) and values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        if high - low < min(_WIDEST, 4 * len(values)):
            return _count_near(values, low)
    return _count_runs(np.sort(values))


def merge_counts(values: Values, counts: Counts) -> tuple[Values, Counts]:
    """Sort values and add up the counts of equal ones, each at least 1."""
    if len(values) and values.dtype == np.int64:
        low, high = int(values.min()), int(values.max())
        if high - low < min(_WIDEST, 4 * len(values)):
            found = np.bincount(values - low, weights=counts).astype(np.int64)
            places = np.flatnonzero(found)
            return places + low, found[places]
    # Stable, since numpy's stable sort is fast where the input is two sorted runs.
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = _starts(ordered)
    if len(starts) == len(ordered):
        return ordered, counts[order]
    return ordered[starts], np.add.reduceat(counts[order], starts)


def merged_values(one: Values, two: Values) -> Values:
    """Return the distinct values of both, ascending."""
    ordered = np.sort(np.concatenate([one, two]), kind="stable")
    return ordered[_starts(ordered)]


def _count_near(values: Values, low: int) -> tuple[Values, Counts]:
    wide = values if values.itemsize == 8 else values.astype(np.int64)
    base = wide.dtype.type(low)
    found = np.bincount((wide - base).astype(np.int64, copy=False))
    places = np.flatnonzero(found)
    return (places.astype(wide.dtype) + base).astype(values.dtype, copy=False), found[places]


def _count_runs(ordered: Values) -> tuple[Values, Counts]:
    starts = _starts(ordered)
    if len(starts) == len(ordered):
        return ordered, np.ones(len(ordered), dtype=np.int64)
    ends = np.empty_like(starts)
    ends[:-1], ends[-1:] = starts[1:], len(ordered)
    return ordered[starts], ends - starts


def _starts(ordered: Values) -> Counts:
    """Return where each run of equal values begins; NaNs are one run."""
    if not len(ordered):
        return np.empty(0, dtype=np.int64)
    changed = np.empty(len(ordered), dtype=np.bool_)
    changed[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=changed[1:])
    if ordered.dtype.kind == "f" and np.isnan(ordered[-1]):
        changed[int(np.searchsorted(ordered, np.nan)) + 1 :] = False
    return np.flatnonzero(changed)
