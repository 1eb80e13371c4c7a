"""Statistics without the rows they came from: small enough to ship in a bundle, or to keep by hour.

Full statistics hold samples of rows, hashes of rows and the texts of a column. None of that is
needed to see whether a distribution has moved, and none of it belongs where a model goes. What a
bundle's profile spells out, besides counts, is:

    numbers     up to 512 values of a column; of one with more, each stands for 5 rows or more
    categories  those that 5 rows or more have, of columns of at most 100; of others only how often
    texts       no text: lengths, letters by script, shares of shapes, the 50 commonest patterns of
                character classes (`A{3}-9{4}`, other letters as `L`), and words such as "N/A"
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gristmill.validate.drifts.drift import is_categorical
from gristmill.validate.statistics.distinct import Distinct, Repeats
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.quantiles import Quantiles
from gristmill.validate.statistics.statistics import Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.numbers import Numbers
    from gristmill.validate.statistics.text_shape import TextShape

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

MOST_VALUES = 512
LEAST_ROWS = 5
_SHIPPED_PATTERNS = 50
_KEPT_PATTERNS = 512
_KEPT_CATEGORIES = 256
_KEPT_NUMBERS = 2048
_KEPT_HASHES = 64
_MOST_DIFFERENT = 1_000_000
_DIGITS = 12
_LETTERS = re.compile(r"[^\W\d_Aa]")


def shipped(statistics: Statistics) -> Statistics:
    """Return what a bundle may hold of its training data: about 10 kB a column, 25 kB at most.

    The share of rows at or below each number that is left is exact, so nothing is lost for
    comparisons in a few tens of bins.
    """
    return _of(statistics, {name: _shipped(part) for name, part in statistics.features.items()})


def kept(statistics: Statistics, counted: Collection[str]) -> Statistics:
    """Return what is kept of rows that were served: about as much, and it still adds up.

    Args:
        statistics: of rows that were served, or the sum of two such states.
        counted: columns whose values are counted; of others only figures are kept.
    """
    features = {name: _kept(part, name in counted) for name, part in statistics.features.items()}
    return _of(statistics, features)


def _of(statistics: Statistics, features: dict[str, Feature]) -> Statistics:
    return Statistics(statistics.name, statistics.rows, features, Repeats())


def _shipped(feature: Feature) -> Feature:
    few = is_categorical(feature)
    different = min(round(feature.distinct_count.value), _MOST_DIFFERENT)
    return _plain(
        feature,
        # How many, and not which: hashes of texts could be tried out.
        distinct=Distinct.of_numbers(np.arange(different)).thinned(_KEPT_HASHES),
        numbers=_grouped(feature.numbers),
        lengths=_grouped(feature.lengths),
        times=_grouped(feature.times),
        values=_without_rare(feature.values) if few else None,
        text=None if few else _shape(feature.text, _SHIPPED_PATTERNS),
    )


def _kept(feature: Feature, counted: bool) -> Feature:
    return _plain(
        feature,
        distinct=feature.distinct.thinned(_KEPT_HASHES),
        numbers=_thinned(feature.numbers),
        lengths=_thinned(feature.lengths),
        times=_thinned(feature.times),
        values=_commonest(feature.values, _KEPT_CATEGORIES) if counted else None,
        text=None if counted else _shape(feature.text, _KEPT_PATTERNS),
    )


def _plain(
    feature: Feature,
    *,
    distinct: Distinct,
    numbers: Numbers | None,
    lengths: Numbers | None,
    times: Numbers | None,
    values: FrequentValues | None,
    text: TextShape | None,
) -> Feature:
    return Feature(
        rows=feature.rows,
        missing=feature.missing,
        kinds=feature.kinds,
        distinct=distinct,
        numbers=numbers,
        lengths=lengths,
        times=times,
        values=values,
        empty=feature.empty,
        broken=feature.broken,
        invalid_utf8=feature.invalid_utf8,
        text_shape=text,
    )


def _thinned(numbers: Numbers | None) -> Numbers | None:
    if numbers is None:
        return None
    return replace(numbers, quantiles=numbers.quantiles.thinned(_KEPT_NUMBERS))


def _grouped(numbers: Numbers | None) -> Numbers | None:
    """Put neighbours together where there are many; sketched numbers are few enough already."""
    if numbers is None:
        return None
    counted, quantiles = numbers.quantiles.value_counts(), numbers.quantiles
    if counted is not None and len(counted[0]) > MOST_VALUES:
        quantiles = Quantiles.of_counts(*_groups(*counted))
    # The last digits of a sum depend on the machine that added up.
    mean, m2 = (float(f"{figure:.{_DIGITS}g}") for figure in (numbers.mean, numbers.m2))
    return replace(numbers, mean=mean, m2=m2, quantiles=quantiles)


def _groups(values: Floats, counts: Counts) -> tuple[Floats, Counts]:
    """Let the greatest value of each group stand for it, so that ranks at what is left are exact.

    Args:
        values: different numbers, ascending: float64[m].
        counts: how often each occurs: int64[m].

    Returns:
        At most `MOST_VALUES` of them, with the rows of their groups, `LEAST_ROWS` or more each.
    """
    least = max(LEAST_ROWS, math.ceil(int(counts.sum()) / MOST_VALUES))
    ends, rows = [], 0
    for place, count in enumerate(counts.tolist()):
        rows += count
        if rows >= least:
            ends.append(place)
            rows = 0
    if rows:
        ends[-1:] = [len(values) - 1]
    return values[ends], np.diff(np.cumsum(counts)[ends], prepend=0)


def _without_rare(values: FrequentValues | None) -> FrequentValues | None:
    """Keep the counts of all categories, but the names of common ones alone."""
    counts = values.counts() if values is not None else None
    if counts is None:
        return None
    common = {value: count for value, count in counts.items() if count >= LEAST_ROWS}
    rare = sorted((count for count in counts.values() if count < LEAST_ROWS), reverse=True)
    return FrequentValues.of(
        common | {f"(rare {number})": count for number, count in enumerate(rare, 1)}
    )


def _commonest(values: FrequentValues | None, most: int) -> FrequentValues | None:
    return None if values is None else FrequentValues.of(_counts(values, most))


def _counts(values: FrequentValues, most: int) -> dict[str, int]:
    return {top.value: top.count for top in values.top(most)}


def _shape(text: TextShape | None, most: int) -> TextShape | None:
    """Keep the commonest patterns; letters without case stand for themselves in them, but here."""
    if text is None:
        return None
    patterns: Counter[str] = Counter()
    for pattern, count in _counts(text.classes, most).items():
        patterns[_LETTERS.sub("L", pattern)] += count
    return replace(text, classes=FrequentValues.of(patterns))
