"""Weighted figures of a column: TFDV's weighted twins, mergeable.

The distribution of numbers is every distinct number with its weight while there are few. Beyond
that neighbours are pooled into 4,096 points of about equal weight, which moves the rank of
any number by at most a point's weight; the moves are added up in `rank_error`, which so is a
certain bound, not a likely one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import DataError
from gristmill.validate.kinds import kind_of, normalised
from gristmill.validate.statistics.documents import Documented
from gristmill.validate.statistics.frequent import ranked, shorten
from gristmill.validate.statistics.valency import exploded, is_nested

Floats = NDArray[np.float64]
MAX_EXACT = 1 << 15
MAX_VALUES = 1 << 12
_POINTS = 1 << 12
_SHOWN_ROWS = 5


@dataclass(frozen=True)
class WeightedNumbers:
    """Weighted moments and distribution of finite numbers.

    Attributes:
        weight: the weight of the finite numbers together.
        mean: their weighted mean.
        m2: the weighted sum of squared deviations from the mean.
        low, high: the least and greatest number; None when there are none.
        zeros, nan, infinite: the weight of zeros, of NaN, of infinities.
        values, weights: distinct numbers, ascending, and the weight of each: float64[m].
        lost: the weight by which a rank times the whole weight may be off; 0.0 while exact.
    """

    weight: float
    mean: float
    m2: float
    low: float | None
    high: float | None
    zeros: float
    nan: float
    infinite: float
    values: Floats
    weights: Floats
    lost: float = 0.0

    @classmethod
    def of(cls, numbers: Floats, weights: Floats) -> Self:
        """Compute the state of numbers (float64[n], NaN allowed) with weights (float64[n])."""
        finite = np.isfinite(numbers)
        nan = float(weights[np.isnan(numbers)].sum())
        infinite = float(weights[np.isinf(numbers)].sum())
        numbers, weights = numbers[finite] + 0.0, weights[finite]
        weight = float(weights.sum())
        mean = float(weights @ numbers) / weight if weight else 0.0
        values, places = np.unique(numbers, return_inverse=True)
        masses = np.bincount(places, weights=weights, minlength=len(values)).astype(np.float64)
        return cls(
            weight=weight,
            mean=mean,
            m2=float(weights @ np.square(numbers - mean)),
            low=float(values[0]) if len(values) else None,
            high=float(values[-1]) if len(values) else None,
            zeros=float(weights[numbers == 0].sum()),
            nan=nan,
            infinite=infinite,
            **_pooled(values, masses, 0.0),
        )

    def __add__(self, other: WeightedNumbers) -> WeightedNumbers:
        weight = self.weight + other.weight
        share = other.weight / weight if weight else 0.0
        gap = other.mean - self.mean
        values, places = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        both = np.concatenate([self.weights, other.weights])
        masses = np.bincount(places, weights=both, minlength=len(values)).astype(np.float64)
        return WeightedNumbers(
            weight=weight,
            mean=self.mean + gap * share,
            m2=self.m2 + other.m2 + gap * gap * self.weight * share,
            low=min((x for x in (self.low, other.low) if x is not None), default=None),
            high=max((x for x in (self.high, other.high) if x is not None), default=None),
            zeros=self.zeros + other.zeros,
            nan=self.nan + other.nan,
            infinite=self.infinite + other.infinite,
            **_pooled(values, masses, self.lost + other.lost),
        )

    @property
    def std(self) -> float:
        """Weighted population standard deviation."""
        return math.sqrt(self.m2 / self.weight) if self.weight else 0.0

    @property
    def rank_error(self) -> float:
        """A certain bound on the error of a rank, in [0, 1]; 0.0 while exact."""
        return self.lost / self.weight if self.weight else 0.0

    def quantiles(self, ranks: Sequence[float]) -> Floats:
        """The smallest values whose weighted rank reaches each of `ranks`; NaN without weight."""
        if not self.weight:
            return np.full(len(ranks), np.nan)
        held = self.weights > 0
        reached = np.cumsum(self.weights[held])
        wanted = np.asarray(ranks, dtype=np.float64) * reached[-1] * (1 - 1e-12)
        found: Floats = self.values[held][np.searchsorted(reached, wanted, side="left")]
        return found

    def counts_between(self, edges: Floats) -> Floats:
        """The weight in (-inf, e0], (e0, e1], ..., (e_last, inf): float64[len(edges) + 1]."""
        places = np.searchsorted(edges, self.values, side="left")
        return np.bincount(places, weights=self.weights, minlength=len(edges) + 1).astype(
            np.float64
        )


@dataclass(frozen=True)
class WeightedFigures(Documented):
    """Weighted statistics of a column; `a + b` is of both columns on end.

    Attributes:
        present, missing: the weight of the rows with and without a value.
        elements: the weight of the values (each element of a list counts its row's weight); equal
            to `present` for plain columns.
        numbers: of ints, floats and times (microseconds); None when there were none.
        values: text or boolean -> weight; the 4,096 heaviest.
        other: the weight of values that were not kept.
        lost: any value's weight may be short by so much; 0.0 while every value is kept.
    """

    present: float
    missing: float
    elements: float
    numbers: WeightedNumbers | None
    values: dict[str, float]
    other: float = 0.0
    lost: float = 0.0

    @classmethod
    def of(cls, column: pl.Series, weights: pl.Series) -> Self:
        """Compute the state of one partition.

        Raises:
            DataError: a weight is missing, negative or not finite; the message names the rows.
        """
        checked = check_weights(weights)
        known = column.is_not_null().to_numpy()
        present, missing = float(checked[known].sum()), float(checked[~known].sum())
        leaves, masses = _leaves(column, checked)
        kind = kind_of(leaves.dtype)
        numbers: WeightedNumbers | None = None
        values: dict[str, float] = {}
        if len(leaves) and kind in ("int", "float", "time"):
            plain = normalised(leaves).to_physical().cast(pl.Float64).to_numpy()
            numbers = WeightedNumbers.of(plain, masses)
        elif len(leaves) and kind in ("string", "bool"):
            values = _weighed(normalised(leaves).cast(pl.String), masses)
        kept, other, lost = _heaviest(values)
        return cls(present, missing, float(masses.sum()), numbers, kept, other, lost)

    def __add__(self, other: WeightedFigures) -> WeightedFigures:
        joined = dict(self.values)
        for value, weight in other.values.items():
            joined[value] = joined.get(value, 0.0) + weight
        kept, cut, lost = _heaviest(joined)
        return WeightedFigures(
            present=self.present + other.present,
            missing=self.missing + other.missing,
            elements=self.elements + other.elements,
            numbers=_joined(self.numbers, other.numbers),
            values=kept,
            other=self.other + other.other + cut,
            lost=self.lost + other.lost + lost,
        )

    @property
    def average_values(self) -> float:
        """Weighted average number of values per present row; 1.0 for plain columns."""
        return self.elements / self.present if self.present else 0.0

    def top(self, k: int = 20) -> list[tuple[str, float]]:
        """The k heaviest values, ties by value."""
        return ranked(self.values)[:k]

    def describe(self) -> dict[str, object]:
        """The figures, JSON-able."""
        summary: dict[str, object] = {
            "present": self.present,
            "missing": self.missing,
            "average_values": self.average_values,
            "top": [[value, weight] for value, weight in self.top(5)],
        }
        if self.numbers is not None and self.numbers.weight:
            numbers = self.numbers
            median = float(numbers.quantiles([0.5])[0])
            summary |= {"mean": numbers.mean, "std": numbers.std, "median": median}
            summary |= {"min": numbers.low, "max": numbers.high, "zeros": numbers.zeros}
            summary |= {"nan": numbers.nan, "rank_error": numbers.rank_error}
        return summary


def check_weights(weights: pl.Series, ids: pl.Series | None = None) -> Floats:
    """Return weights as float64[n].

    Args:
        weights: one number per row.
        ids: the rows' ids, for the message; their positions when not given.

    Raises:
        DataError: a weight is missing, negative or not finite, or the column holds no numbers.
    """
    if not (weights.dtype.is_numeric() or weights.dtype == pl.Null):
        raise DataError(f"expected weights that are numbers, found {weights.dtype}")
    numbers = weights.cast(pl.Float64).fill_null(np.nan).to_numpy()
    bad = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0)))
    if not len(bad):
        return numbers
    places = bad[:_SHOWN_ROWS]
    rows = places.tolist() if ids is None else ids[places].to_list()
    found = ", ".join(
        f"{weights[int(place)]} (row {row})" for place, row in zip(places, rows, strict=True)
    )
    more = f" and {len(bad) - len(places):,} more" if len(bad) > len(places) else ""
    raise DataError(
        f"expected weights of at least 0, found {found}{more}",
        where=f"column {weights.name!r}",
        fix="mend these rows or weigh by another column",
    )


def _leaves(column: pl.Series, weights: Floats) -> tuple[pl.Series, Floats]:
    """The values of present rows, and the weight of each."""
    if not is_nested(column.dtype):
        known = column.is_not_null()
        return column.filter(known), weights[known.to_numpy()]
    masses = pl.Series("weight", weights)
    while is_nested(column.dtype):
        lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
        lengths = lists.list.len().fill_null(0).to_numpy()
        masses, column = masses[np.repeat(np.arange(len(lists)), lengths)], exploded(lists)
    return _leaves(column, masses.to_numpy())


def _weighed(texts: pl.Series, weights: Floats) -> dict[str, float]:
    table = pl.DataFrame({"text": texts, "weight": weights})
    summed = table.group_by("text").agg(pl.col("weight").sum()).sort("text")
    result: dict[str, float] = {}
    for text, weight in summed.iter_rows():
        short = shorten(text)
        result[short] = result.get(short, 0.0) + weight
    return result


def _heaviest(values: dict[str, float]) -> tuple[dict[str, float], float, float]:
    """Keep the heaviest values; the weight of the others together, and the heaviest of those."""
    if len(values) <= MAX_VALUES:
        return dict(sorted(values.items())), 0.0, 0.0
    heaviest = ranked(values)
    left = [weight for _, weight in heaviest[MAX_VALUES:]]
    return dict(sorted(heaviest[:MAX_VALUES])), sum(left), left[0]


def _pooled(values: Floats, weights: Floats, lost: float) -> dict[str, Any]:
    """Pool neighbours into points of about equal weight where there are too many values."""
    if len(values) <= MAX_EXACT:
        return {"values": values, "weights": weights, "lost": lost}
    reached = np.cumsum(weights)
    width = reached[-1] / _POINTS
    # A value heavier than a point closes its point, so that it keeps its own place.
    bins = np.floor((reached - weights / 2) / width).astype(np.int64)
    last = np.flatnonzero(np.append(bins[1:] != bins[:-1], True))
    masses = np.diff(np.concatenate([[0.0], reached[last]]))
    heaviest_moved = float(np.max(masses - weights[last])) if len(last) else 0.0
    return {"values": values[last], "weights": masses, "lost": lost + heaviest_moved}


def _joined(one: WeightedNumbers | None, two: WeightedNumbers | None) -> WeightedNumbers | None:
    if one is None or two is None:
        return one if two is None else two
    return one + two
