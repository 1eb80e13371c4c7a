"""TFDV's measures of drift and skew, to the digit, for limits that were set in them.

They are kept for compatibility. Each side of a comparison of numbers has histogram bins of its
own, which are cut anew as if the mass inside a bin were uniform: one outlier moves the figure more
than a real shift does. Our own distance (`validate.drifts`) counts both sides in the same bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Counts = Mapping[str, float]


def infinity_norm(current: Counts, control: Counts) -> tuple[str, float]:
    """Return the largest change of one value's share, and that value.

    Shares are of the counts given; of values that changed alike the last in byte order is named.
    With no counts on a side its shares are 0.
    """
    return _largest(_shares(current), _shares(control))


def normalized_abs_difference(current: Counts, control: Counts) -> tuple[str, float]:
    """Return the largest change of one value's count, over all counts of both sides."""
    total = sum(current.values()) + sum(control.values())
    if not total:
        return "", 0.0
    scaled = [{name: n / total for name, n in side.items()} for side in (current, control)]
    return _largest(*scaled)


def jensen_shannon_values(current: Counts, control: Counts) -> float | None:
    """Return the Jensen-Shannon divergence of two rows of counts, in bits; None without counts."""
    if not current or not control or min(*current.values(), *control.values()) <= 0:
        return None
    names = sorted({*current, *control})
    sides = [np.array([side.get(name, 0.0) for name in names]) for side in (current, control)]
    return _divergence(*sides)


def jensen_shannon_histograms(
    current: statistics_pb2.Histogram, control: statistics_pb2.Histogram
) -> float | None:
    """Return the Jensen-Shannon divergence of two histograms of one type, in bits.

    Bins of no width and bins with an infinite edge are set aside; the other bins are cut at the
    edges of both, their mass spread evenly. Then each number with a bin of no width is a bin,
    and infinite numbers and NaN are bins that the two sides never share.

    Returns:
        None where the types differ, or a side has no mass at all.
    """
    if current.type != control.type:
        return None
    one, two = _Parts(current), _Parts(control)
    edges = np.union1d(one.edges, two.edges)
    points = sorted({*one.points, *two.points})
    apart = [(one.infinite, 0.0), (0.0, two.infinite), (0.0, two.nan), (one.nan, 0.0)]
    sides = [
        np.concatenate([part.spread(edges), [part.points.get(at, 0.0) for at in points], rest])
        for part, rest in zip((one, two), zip(*apart, strict=True), strict=True)
    ]
    if any(side.sum() == 0 for side in sides):
        return None
    return _divergence(*sides)


class _Parts:
    """A histogram taken apart: plain bins, single numbers, infinite mass, NaN."""

    def __init__(self, histogram: statistics_pb2.Histogram) -> None:
        rows = [(b.low_value, b.high_value, b.sample_count) for b in histogram.buckets]
        finite = [row for row in rows if math.isfinite(row[0]) and math.isfinite(row[1])]
        self.infinite = sum(row[2] for row in rows if row not in finite)
        self.nan = float(histogram.num_nan)
        self.points: dict[float, float] = {}
        for low, high, count in finite:
            if low == high:
                self.points[low] = self.points.get(low, 0.0) + count
        self._bins = np.array([row for row in finite if row[0] != row[1]]).reshape(-1, 3)

    @property
    def edges(self) -> Floats:
        return np.unique(self._bins[:, :2])

    def spread(self, edges: Floats) -> Floats:
        """Spread the mass of the bins over finer ones: float64[max(0, len(edges) - 1)]."""
        mass = np.zeros(max(0, len(edges) - 1))
        for low, high, count in self._bins:
            first, last = np.searchsorted(edges, [low, high])
            mass[first:last] += np.diff(edges[first : last + 1]) / (high - low) * count
        return mass


def _divergence(one: Floats, two: Floats) -> float:
    p, q = one / one.sum(), two / two.sum()
    middle = (p + q) / 2
    return min(1.0, float(_entropy(p, middle) + _entropy(q, middle)) / 2)


def _entropy(p: Floats, q: Floats) -> float:
    some = (p > 0) & (q > 0)
    return float(np.sum(p[some] * np.log2(p[some] / q[some])))


def _shares(counts: Counts) -> Counts:
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def _largest(one: Counts, two: Counts) -> tuple[str, float]:
    found = ("", 0.0)
    for name in sorted({*one, *two}, key=str.encode):
        moved = abs(one.get(name, 0.0) - two.get(name, 0.0))
        if moved >= found[1]:
            found = (name, moved)
    return found
