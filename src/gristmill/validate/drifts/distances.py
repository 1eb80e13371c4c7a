"""Distances between two rows of counts in the same bins, and how far chance takes each of them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from gristmill.validate.chance import ALARM_LEVEL, chi_square_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.float64]

_UNIT = 1 / (8 * math.log(2))
_SMALLEST_SHARE = 1e-4
_SPARSE = 0.6


def distance(before: Counts, after: Counts) -> float:
    """Return the Jensen-Shannon distance (base 2) of two rows of counts in the same bins."""
    return math.sqrt(divergence(before, after))


def divergence(before: Counts, after: Counts) -> float:
    """Return the Jensen-Shannon divergence of two rows of counts, in bits: in [0, 1]."""
    shares = np.stack([before / before.sum(), after / after.sum()])
    middle = shares.mean(axis=0)
    # An empty bin adds nothing: 0 log 0 is 0.
    ratios = np.where(shares > 0, shares, 1.0) / np.where(shares > 0, middle, 1.0)
    bits = float((shares * np.log2(ratios)).sum()) / 2
    return min(1.0, max(0.0, bits))


def floor(
    bins: int,
    rows: float,
    other_rows: float,
    error: float = 0.0,
    level: float = ALARM_LEVEL,
    sparsity: float = 0.0,
) -> float:
    """Return the distance that two samples of one distribution exceed with probability `level`.

    8 ln 2 nm / (n + m) times the divergence in bits is asymptotically chi-square with bins - 1
    degrees of freedom (Menéndez, Morales, Pardo, Pardo 1997). Where bins hold few rows it is
    larger: with e rows expected in a bin, its mean is that of chi-square times 1 + 3 / (8 e) (the
    fourth-order term, for Poisson counts beside a much larger table); its deviation grows a
    little more. The distance is a metric, so what sketches are off by (`error`, a distance) adds
    at most that.

    Args:
        sparsity: mean over the bins of 1 / e in the smaller table.
    """
    if bins < 2:
        return min(1.0, error)
    chance = chi_square_quantile(bins - 1, level) * (1 / rows + 1 / other_rows) * _UNIT
    chance *= 1 + _SPARSE * sparsity
    return min(1.0, math.sqrt(chance) + error)


def bits_of_shift(deviations: float) -> float:
    """Return the Jensen-Shannon divergence of two normals that lie so far apart, while small."""
    return _UNIT * deviations**2


def sketch_error(shares: Counts, off: float) -> float:
    """Return the distance that an error of `off` in the share of every bin makes, at most."""
    if not off:
        return 0.0
    return math.sqrt(_UNIT * float(np.sum(off**2 / np.maximum(shares, off))))


def stability_index(before: Counts, after: Counts) -> float:
    """Return the population stability index: sum of (q - p) ln(q / p), empty bins at 0.01 %."""
    p, q = (np.maximum(side / side.sum(), _SMALLEST_SHARE) for side in (before, after))
    return float(np.sum((q - p) * np.log(q / p)))


def kolmogorov_smirnov(before: Counts, after: Counts) -> float:
    """Return the largest gap of the two cumulative shares over ordered bins, in [0, 1]."""
    return float(np.abs(_gaps(before, after)).max(initial=0.0))


def wasserstein(before: Counts, after: Counts, edges: Counts) -> float:
    """Return the area between the two cumulative shares, edges float64[bins - 1], in their unit.

    What lies beyond the outermost edges has no width here, so this is a lower bound.
    """
    gaps = np.abs(_gaps(before, after)[: len(edges)])
    return float(np.sum((gaps[1:] + gaps[:-1]) / 2 * np.diff(edges))) if len(edges) > 1 else 0.0


def cliffs_delta(before: Counts, after: Counts) -> float:
    """Return P(new > old) - P(new < old) over ordered bins (Cliff 1993), in [-1, 1]."""
    if not before.sum() or not after.sum():
        return 0.0
    p, q = before / before.sum(), after / after.sum()
    below = np.cumsum(p) - p
    above = 1 - np.cumsum(p)
    return float(np.sum(q * (below - above)))


def delta_floor(before: Counts, after: Counts, error: float, level: float) -> float:
    """Return what the size of `cliffs_delta` exceeds by chance with probability `level`.

    It is the rank-sum statistic in another scale: normal, with the variance for ties (Mann and
    Whitney 1947; Lehmann 1975, section 1.4). `error` is the sum of both sketches' rank errors.
    """
    n, m = float(before.sum()), float(after.sum())
    total = n + m
    if n < 1 or m < 1 or total < 3:
        return 1.0
    ties = before + after
    shared = float(np.sum(ties**3 - ties)) / (total * (total - 1))
    variance = n * m / 12 * max(0.0, total + 1 - shared)
    deviation = 2 / (n * m) * math.sqrt(variance)
    return min(1.0, NormalDist().inv_cdf(1 - level / 2) * deviation + 2 * error)


def _gaps(before: Counts, after: Counts) -> Counts:
    if not before.sum() or not after.sum():
        return np.zeros(len(before))
    gaps: Counts = np.cumsum(before) / before.sum() - np.cumsum(after) / after.sum()
    return gaps
