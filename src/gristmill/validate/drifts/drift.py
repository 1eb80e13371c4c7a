"""Drift: how far the distribution of a feature has moved, and how far chance could move it.

The distance is that of Jensen and Shannon, the square root of their divergence in bits (Lin 1991;
a metric by Endres and Schindelin 2003): 0 for equal distributions, 1 for disjoint ones. Both
sides are counted in the same bins, cut at equal mass of the baseline; missing, NaN and
infinities are bins of their own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from gristmill.validate.chance import ALARM_LEVEL, chi_square_quantile
from gristmill.validate.statistics.histograms import inner_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

    Counts = NDArray[np.float64]

THRESHOLD = 0.1
_MAX_BINS = 20
_MIN_BINS = 5
_ROWS_PER_BIN = 50
_MAX_CATEGORIES = 100
_MIN_EXPECTED = 5.0
_RARE = "(rare)"

Over = Literal["numbers", "values", "lengths", "times"]


class Drift(msgspec.Struct, frozen=True):
    """The distance between two distributions of one feature.

    Attributes:
        over: what was compared: "numbers", "times", "values", or "lengths" of text.
        distance: Jensen-Shannon distance in [0, 1].
        floor: the distance that chance exceeds once in 100,000 times for these two sample sizes.
        threshold: the least distance that matters, from the schema.
        bins: the names of the bins.
        baseline, current: the share of rows in each bin.
    """

    feature: str
    over: Over
    distance: float
    floor: float
    threshold: float
    baseline_rows: int
    current_rows: int
    bins: list[str]
    baseline: list[float]
    current: list[float]

    @property
    def moved(self) -> float:
        """The share of rows that lie elsewhere now: the total variation distance, in [0, 1]."""
        pairs = zip(self.baseline, self.current, strict=True)
        return sum(abs(old - new) for old, new in pairs) / 2

    @property
    def alarm(self) -> bool:
        """Whether the shift is both large enough to matter and larger than chance makes."""
        return self.distance > max(self.threshold, self.floor)


def measure(
    name: str, baseline: Feature, current: Feature, threshold: float = THRESHOLD
) -> Drift | None:
    """Compare one feature of two tables; None where there is nothing to compare."""
    if not baseline.rows or not current.rows:
        return None
    chosen = _binned(baseline, current)
    if chosen is None:
        return None
    over, bins, before, after, rank_error = chosen
    bins, before, after = _pool_rare(bins, before, after)
    return Drift(
        feature=name,
        over=over,
        distance=distance(before, after),
        floor=floor(len(bins), baseline.rows, current.rows, rank_error),
        threshold=threshold,
        baseline_rows=baseline.rows,
        current_rows=current.rows,
        bins=bins,
        baseline=(before / before.sum()).tolist(),
        current=(after / after.sum()).tolist(),
    )


def distance(before: Counts, after: Counts) -> float:
    """Return the Jensen-Shannon distance (base 2) of two rows of counts in the same bins."""
    p, q = before / before.sum(), after / after.sum()
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return math.sqrt(min(1.0, max(0.0, divergence)))


def floor(bins: int, rows: int, other_rows: int, rank_error: float = 0.0) -> float:
    """Return the distance that two samples of one distribution exceed once in 100,000 times.

    8 ln 2 nm / (n + m) times the divergence in bits is asymptotically chi-square with bins - 1
    degrees of freedom (Menéndez, Morales, Pardo, Pardo 1997). Sketched counts add the divergence
    of an error of `rank_error` in every bin.
    """
    if bins < 2:
        return 0.0
    unit = 1 / (8 * math.log(2))
    chance = chi_square_quantile(bins - 1, ALARM_LEVEL) * (1 / rows + 1 / other_rows) * unit
    return math.sqrt(min(1.0, chance + (bins * rank_error) ** 2 * unit))


def is_categorical(feature: Feature) -> bool:
    """Tell whether a feature's values are categories: few, and each seen many times."""
    counts = feature.values.counts() if feature.values else None
    return bool(counts) and len(counts or ()) <= min(_MAX_CATEGORIES, feature.present / 10)


_Binned = tuple[Over, list[str], "Counts", "Counts", float]


def _binned(baseline: Feature, current: Feature) -> _Binned | None:
    if is_categorical(baseline):
        bins, before, after = _by_value(baseline, current)
        return "values", bins, before, after, 0.0
    parts: tuple[Over, ...] = ("numbers", "lengths", "times")
    for over in parts:
        one: Numbers | None = getattr(baseline, over)
        two: Numbers | None = getattr(current, over)
        if one is not None and (two is not None or not current.present):
            bins, before, after = _by_edges(one, two, min(baseline.rows, current.rows))
            error = math.hypot(*(x.quantiles.rank_error for x in (one, two) if x is not None))
            missing = [float(baseline.missing), float(current.missing)]
            return over, [*bins, "missing"], *_with(before, after, missing), error
    return None


def _with(before: Counts, after: Counts, extra: list[float]) -> tuple[Counts, Counts]:
    return np.append(before, extra[0]), np.append(after, extra[1])


def _by_edges(
    baseline: Numbers, current: Numbers | None, rows: int
) -> tuple[list[str], Counts, Counts]:
    bins = max(_MIN_BINS, min(_MAX_BINS, rows // _ROWS_PER_BIN))
    edges = inner_edges(baseline, bins)
    names = [f"<= {edge:.6g}" for edge in edges] + ["above"]
    before, after = (_count(side, edges) for side in (baseline, current))
    return [*names, "NaN", "-inf", "inf"], before, after


def _count(numbers: Numbers | None, edges: Counts) -> Counts:
    if numbers is None:
        return np.zeros(len(edges) + 4)
    apart = [numbers.nan, numbers.neg_inf, numbers.pos_inf]
    return np.concatenate([numbers.quantiles.counts_between(edges), apart])


def _by_value(baseline: Feature, current: Feature) -> tuple[list[str], Counts, Counts]:
    known = [top.value for top in baseline.top(_MAX_CATEGORIES)]
    found = {top.value: top.count for top in current.top(1 << 12)}
    before = {top.value: top.count for top in baseline.top(_MAX_CATEGORIES)}
    old = [float(before[name]) for name in known]
    new = [float(found.get(name, 0)) for name in known]
    return (
        [*known, "(new values)", "missing"],
        np.array([*old, baseline.present - sum(old), baseline.missing]),
        np.array([*new, current.present - sum(new), current.missing]),
    )


def _pool_rare(bins: list[str], before: Counts, after: Counts) -> tuple[list[str], Counts, Counts]:
    """Pool bins in which chance rules: fewer than 5 rows expected in the smaller table."""
    pooled = before / before.sum() + after / after.sum()
    rare = pooled / 2 * min(before.sum(), after.sum()) < _MIN_EXPECTED
    if rare.sum() < 2:
        keep = before + after > 0
        return [b for b, kept in zip(bins, keep, strict=True) if kept], before[keep], after[keep]
    names = [b for b, is_rare in zip(bins, rare, strict=True) if not is_rare]
    if not before[rare].sum() + after[rare].sum():
        return names, before[~rare], after[~rare]
    joined = [np.append(side[~rare], side[rare].sum()) for side in (before, after)]
    return [*names, _RARE], joined[0], joined[1]


def _relative_entropy(p: Counts, q: Counts) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / q[some])))
