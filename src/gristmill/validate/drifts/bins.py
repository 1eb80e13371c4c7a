"""The bins that two columns are both counted in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from gristmill.validate.drifts.distances import sketch_error
from gristmill.validate.statistics.quantiles import Quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

    Counts = NDArray[np.float64]

MAX_CATEGORIES = 100
RARE = "(rare)"
_MAX_BINS = 20
_MIN_BINS = 5
_ROWS_PER_BIN = 50
_MIN_EXPECTED = 5.0
_MOST_VALUES = 1 << 12
_HEAVY = 0.01
_MIN_VALUES = 2

Over = Literal[
    "numbers", "values", "lengths", "times", "charset", "scripts", "patterns", "shapes", "vectors"
]


@dataclass(frozen=True)
class Bins:
    """Two columns counted in the same bins.

    Attributes:
        names: of the bins.
        before, after: float64[bins], rows of the baseline and of the current table.
        ordered: how many of the first bins are intervals of numbers, ascending.
        edges: float64[ordered - 1] between these.
        error: Jensen-Shannon distance that sketched counts may add.
        rank_error: sum of the two sketches' rank errors.
    """

    over: Over
    names: list[str]
    before: Counts
    after: Counts
    ordered: int = 0
    edges: Counts = field(default_factory=lambda: np.empty(0))
    error: float = 0.0
    rank_error: float = 0.0

    @property
    def sparsity(self) -> float:
        """Mean over the bins of one over the rows expected in the smaller table."""
        totals = self.before.sum(), self.after.sum()
        expected = (self.before / totals[0] + self.after / totals[1]) / 2 * min(totals)
        return float(np.mean(1 / np.maximum(expected, 1.0)))


def binned(before: Feature, after: Feature) -> list[Bins]:
    """Return the ways in which two columns can be compared, the most telling first."""
    ways = _ways(before, after)
    if before.valency is None:
        return ways
    # The elements of a list go together: all of them weigh no more than the rows they are in.
    return [_weighing(bins, before.rows, after.rows) for bins in ways]


def _weighing(bins: Bins, rows: int, other_rows: int) -> Bins:
    sides = ((bins.before, rows), (bins.after, other_rows))
    one, two = (side * min(1.0, most / max(1.0, side.sum())) for side, most in sides)
    return replace(bins, before=one, after=two)


def _ways(before: Feature, after: Feature) -> list[Bins]:
    if is_categorical(before):
        return [by_value(before, after)]
    ways = _by_numbers(before, after)
    if before.values is not None or _few_numbers(before):
        values = by_value(before, after)
        if len(values.names) > _MIN_VALUES:
            ways.append(values)
    return ways


def is_categorical(feature: Feature) -> bool:
    """Tell whether a feature's values are categories: few, and each seen many times."""
    counts = feature.values.counts() if feature.values else None
    return bool(counts) and len(counts or ()) <= min(MAX_CATEGORIES, feature.present / 10)


def _few_numbers(feature: Feature) -> bool:
    """Tell whether whole numbers are so few that each may be a code of its own."""
    counted = feature.numbers.quantiles.value_counts() if feature.numbers else None
    if counted is None or feature.kind != "int":
        return False
    return _MAX_BINS < len(counted[0]) <= min(MAX_CATEGORIES, feature.present / 10)


def _by_numbers(before: Feature, after: Feature) -> list[Bins]:
    parts: tuple[Over, ...] = ("numbers", "lengths", "times")
    for over in parts:
        one: Numbers | None = getattr(before, over)
        two: Numbers | None = getattr(after, over)
        if one is not None and (two is not None or not after.present):
            missing = (before.missing, after.missing)
            return [by_edges(over, one, two, missing, min(before.rows, after.rows))]
    return []


def by_edges(
    over: Over, before: Numbers, after: Numbers | None, missing: tuple[int, int], rows: int
) -> Bins:
    """Count numbers between equal-mass edges of the baseline; what is no number has its own bin."""
    edges = edges_of(before.quantiles, bins_for(rows))
    names = [f"<= {edge:.6g}" for edge in edges]
    names.append(f"> {edges[-1]:.6g}" if len(edges) else "any number")
    old, new = count(before, edges, missing[0]), count(after, edges, missing[1])
    errors = [side.quantiles.rank_error for side in (before, after) if side is not None]
    shares = old[: len(names)] / max(1.0, old.sum())
    return Bins(
        over,
        [*names, "NaN", "-inf", "inf", "missing"],
        old,
        new,
        ordered=len(names),
        edges=edges,
        # A bin lies between two ranks, so its share is off by twice their error.
        error=sum(sketch_error(shares, 2 * error) for error in errors),
        rank_error=sum(errors),
    )


def bins_for(rows: int) -> int:
    """Return how many bins the smaller of two tables can fill."""
    return max(_MIN_BINS, min(_MAX_BINS, rows // _ROWS_PER_BIN))


def edges_of(quantiles: Quantiles, bins: int) -> Counts:
    """Return edges of equal mass, ascending; a value that fills a bin has that bin to itself."""
    counted = quantiles.value_counts()
    if counted is not None and len(counted[0]) <= bins:
        return counted[0][:-1]
    marks = quantiles.quantiles([i / bins for i in range(1, bins)])
    heavy = marks[1:][marks[1:] == marks[:-1]]
    return np.unique(np.concatenate([marks, np.nextafter(heavy, -np.inf)]))


def count(numbers: Numbers | None, edges: Counts, missing: int) -> Counts:
    """Count numbers between edges, then NaN, -inf, inf and missing: float64[len(edges) + 5]."""
    if numbers is None:
        return np.append(np.zeros(len(edges) + 4), float(missing))
    apart = [numbers.nan, numbers.neg_inf, numbers.pos_inf, missing]
    return np.concatenate([numbers.quantiles.counts_between(edges), apart])


def by_value(before: Feature, after: Feature) -> Bins:
    """Count each value that both tables together have often enough; pool the others.

    Which values are told apart depends on both tables alike, so that a value's absence from one
    of them is no evidence by itself.
    """
    old, new = value_counts(before), value_counts(after)
    smaller = min(before.present, after.present)
    shares = {
        value: old.get(value, 0.0) / max(1, before.present)
        + new.get(value, 0.0) / max(1, after.present)
        for value in old.keys() | new.keys()
    }
    least = max(2 * _MIN_EXPECTED / max(1, smaller), 0.0 if _exact(before, after) else 2 * _HEAVY)
    often = sorted((v for v in shares if shares[v] >= least), key=lambda v: (-shares[v], v))
    often = often[:MAX_CATEGORIES]
    error = 0.0 if _exact(before, after) else 2 * sketch_error(np.full(len(often), _HEAVY), 1e-3)
    one, two = (_told_apart(*side, often) for side in ((old, before), (new, after)))
    return Bins("values", [*often, RARE, "missing"], one, two, error=error)


def _told_apart(counts: dict[str, float], feature: Feature, often: list[str]) -> Counts:
    own = [counts.get(value, 0.0) for value in often]
    return np.array([*own, max(0.0, feature.present - sum(own)), float(feature.missing)])


def value_counts(feature: Feature) -> dict[str, float]:
    """Return the counts of the values that are known; all of them while statistics are exact."""
    return {top.value: float(top.count) for top in feature.top(_MOST_VALUES)}


def _exact(*features: Feature) -> bool:
    return all(side.values is None or side.values.exact for side in features)


def pool_rare(bins: Bins) -> Bins:
    """Pool bins in which chance rules: fewer than 5 rows expected in the smaller table."""
    before, after = bins.before, bins.after
    totals = before.sum(), after.sum()
    rare = (before / totals[0] + after / totals[1]) * (min(totals) / 2) < _MIN_EXPECTED
    if RARE in bins.names:
        rare[bins.names.index(RARE)] = True
    names = [name for name, few in zip(bins.names, rare.tolist(), strict=True) if not few]
    pooled = [side[rare].sum() for side in (before, after)]
    if not any(pooled):
        return Bins(bins.over, names, before[~rare], after[~rare], error=bins.error)
    one, two = (
        np.append(side[~rare], rest) for side, rest in zip((before, after), pooled, strict=True)
    )
    return Bins(bins.over, [*names, RARE], one, two, error=bins.error)
