"""Shared bins: both distributions of a feature counted on the same edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from gristmill.validate.statistics.histograms import inner_edges
from gristmill.web.validation.numerals import figures_among, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gristmill.validate.drifts.drift import Drift
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

By = Literal["mass", "width"]
_BINS = 20
_CATEGORIES = 100
_VALUES = 19
_PARTS = ("numbers", "times", "lengths")
_SIDES = {"<=": "≤", ">": ">"}


@dataclass(frozen=True)
class SharedBins:
    """Shares of rows in the same bins.

    Attributes:
        values: the value of each bin; empty for bins between edges.
        baseline: share of the baseline's rows in each bin; None where there is no baseline.
        current: share of the current rows in each bin; None where the column is gone.
        edges: the text of the k + 1 edges between the bins; empty for values.
        over: "numbers", "times", "lengths" or "values".
        missing: (baseline, current) share of rows without a value; None where there are no rows.
    """

    values: list[str]
    baseline: list[float] | None
    current: list[float] | None
    edges: list[str]
    over: str
    missing: tuple[float | None, float | None] = (None, None)

    @cached_property
    def names(self) -> list[str]:
        """What each bin holds: a bin of one number alone is called by it."""
        return self.values or [
            low if low == high else f"{low} to {high}" for low, high in pairwise(self.edges)
        ]

    def __len__(self) -> int:
        return len(self.values) or len(self.edges) - 1

    def moved(self, most: int = 3, least: float = 0.01) -> list[int]:
        """Return the places of the bins whose share changed most, the largest change first."""
        if self.baseline is None or self.current is None:
            return []
        changes = [abs(b - a) for a, b in zip(self.baseline, self.current, strict=True)]
        ranked = sorted(range(len(changes)), key=lambda at: (-changes[at], at))
        return [at for at in ranked[:most] if changes[at] >= least]


def bins_of(baseline: Feature | None, current: Feature | None, by: By) -> SharedBins | None:
    """Count a feature of one or two tables in at most 20 bins; None where nothing is known.

    Numbers, times and lengths are cut at equal mass of the baseline (of the current table where
    there is none) or at equal width of both; categories are the most frequent values.
    """
    first = baseline if baseline is not None and baseline.present else current
    if first is None or not first.present:
        return None
    missing = (_missing(baseline), _missing(current))
    if (values := _categories(first)) is not None:
        return _by_value(values, baseline, current, missing)
    part = next((name for name in _PARTS if getattr(first, name) is not None), None)
    return None if part is None else _by_edges(part, by, baseline, current, missing)


def bins_of_drift(drift: Drift) -> SharedBins:
    """Take over the bins that a drift was measured in; missing is a bin of its own there."""
    edges = [_edge(name, drift.over) for name in drift.bins]
    show = moment if drift.over == "times" else figures_among([each[1] for each in edges if each])
    names = [
        name if edge is None else f"{edge[0]} {show(edge[1])}"
        for name, edge in zip(drift.bins, edges, strict=True)
    ]
    return SharedBins(names, list(drift.baseline), list(drift.current), [], drift.over)


def _edge(name: str, over: str) -> tuple[str, float] | None:
    """Read the side and the edge of a bin; None for bins of values or of what is missing."""
    sign, _, edge = name.partition(" ")
    if sign not in _SIDES or over == "values":
        return None
    try:
        return _SIDES[sign], float(edge)
    except ValueError:
        return None


def _missing(feature: Feature | None) -> float | None:
    return feature.missing / feature.rows if feature is not None and feature.rows else None


def _categories(feature: Feature) -> list[str] | None:
    """Return the values of a categorical feature, the most frequent first."""
    counts = feature.values.counts() if feature.values is not None else None
    if counts is None or len(counts) > min(_CATEGORIES, max(feature.present / 10, 2)):
        return None
    return list(counts)


def _by_value(
    known: Sequence[str],
    baseline: Feature | None,
    current: Feature | None,
    missing: tuple[float | None, float | None],
) -> SharedBins:
    now = [top.value for top in current.top(_VALUES)] if current is not None else []
    new = [value for value in now if value not in set(known)]
    names = [*known[: _VALUES - min(len(new), 5)], *new[:5]]
    sides = [_value_shares(side, names) for side in (baseline, current)]
    rest = any(side is not None and side[-1] > 0 for side in sides)
    names, cut = ([*names, "all others"], None) if rest else (names, -1)
    before, after = (None if side is None else side[:cut] for side in sides)
    return SharedBins(names, before, after, [], "values", missing)


def _value_shares(feature: Feature | None, names: Sequence[str]) -> list[float] | None:
    if feature is None or not feature.rows:
        return None
    counts = {top.value: top.count for top in feature.top(1 << 12)}
    seen = [counts.get(name, 0) for name in names]
    rest = max(feature.present - sum(seen), 0)
    return [one / feature.rows for one in [*seen, rest]]


def _by_edges(
    part: str,
    by: By,
    baseline: Feature | None,
    current: Feature | None,
    missing: tuple[float | None, float | None],
) -> SharedBins | None:
    sides = [_numbers(side, part) for side in (baseline, current)]
    known = [side for side in sides if side is not None]
    if not known:
        return None
    low = min(float(side.low) for side in known if side.low is not None)
    high = max(float(side.high) for side in known if side.high is not None)
    inner = inner_edges(known[0], _BINS) if by == "mass" else _even(low, high, part)
    inner = np.unique(inner[(inner >= low) & (inner < high)])
    show = moment if part == "times" else figures_among([low, *inner.tolist(), high])
    edges = [show(low), *map(show, inner.tolist()), show(high)]
    before, after = (
        _shares(numbers, feature, inner)
        for numbers, feature in zip(sides, (baseline, current), strict=True)
    )
    return SharedBins([], before, after, edges, part, missing)


def _even(low: float, high: float, part: str) -> NDArray[np.float64]:
    if not np.isfinite(high - low):
        return np.empty(0)
    bins = _BINS
    if part == "lengths":  # whole numbers: a bin narrower than one would stand empty
        bins = int(min(_BINS, max(high - low, 1)))
    return np.linspace(low, high, bins + 1)[1:-1]


def _numbers(feature: Feature | None, part: str) -> Numbers | None:
    numbers: Numbers | None = getattr(feature, part, None)
    return numbers if numbers is not None and numbers.n else None


def _shares(
    numbers: Numbers | None, feature: Feature | None, inner: NDArray[np.float64]
) -> list[float] | None:
    if feature is None or not feature.rows:
        return None
    if numbers is None:
        return [0.0] * (len(inner) + 1)
    counts: list[float] = (numbers.quantiles.counts_between(inner) / feature.rows).tolist()
    return counts
