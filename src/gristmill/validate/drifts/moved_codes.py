"""Whole numbers that all moved by one: hours in another time zone, months counted from zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gristmill.validate.drifts.distances import distance, floor
from gristmill.validate.drifts.pairs import NEVER, Pair
from gristmill.validate.drifts.shift import Shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.numbers import Numbers

    Counts = NDArray[np.float64]

_WIDTHS = (6, 100)
_BETTER = 0.5


def moved_by_one(pair: Pair, level: float) -> Shift | None:
    """Return a shift where chance explains the numbers once each is moved back by one.

    Where the distribution is smooth such a move is a small distance, which matters all the same:
    so it is told below the threshold of drift, if chance does not explain it, and what is left
    after moving back is explained by chance and at most half of it.
    """
    drift = pair.drift
    if drift is None or drift.alarm or pair.spec.drift >= NEVER or pair.numbers is None:
        return None
    if pair.before.kind != "int" or pair.after.kind != "int":
        return None
    sides = _grid(*pair.numbers)
    if sides is None:
        return None
    old, new = sides
    n, m = float(old.sum()), float(new.sum())
    expected = (old / n + new / m) / 2 * min(n, m)
    sparsity = float(np.mean(1 / np.maximum(expected, 1.0)))
    limit = floor(len(old), n, m, level=level, sparsity=sparsity)
    raw = distance(old, new)
    left, step = min((distance(old, np.roll(new, -step)), step) for step in (-1, 1))
    if raw <= limit or left > min(limit, _BETTER * raw):
        return None
    message = (
        f"all numbers look like the baseline's {'+' if step > 0 else '-'} 1: distance {raw:.3f}, "
        f"{left:.3f} after moving them back (chance reaches {limit:.3f})"
    )
    return Shift("drift", pair.name, message, drift, None, int(m), int(m))


def _grid(before: Numbers, after: Numbers) -> tuple[Counts, Counts] | None:
    """Count every whole number from the least to the greatest; None where they are too many.

    Codes that stay within their bounds go round: after 23 o'clock comes 0.
    """
    old, new = before.quantiles.value_counts(), after.quantiles.value_counts()
    if old is None or new is None:
        return None
    low, high, least, most = (float(v[end]) for v, _ in (old, new) for end in (0, -1))
    if least < low or most > high:
        low, high = low - 1, high + 1
    width = int(high - low) + 1
    if least < low or most > high or not _WIDTHS[0] <= width <= _WIDTHS[1]:
        return None
    grids = np.zeros((2, width))
    for grid, (values, counts) in zip(grids, (old, new), strict=True):
        grid[(values - low).astype(np.int64)] = counts
    return grids[0], grids[1]
