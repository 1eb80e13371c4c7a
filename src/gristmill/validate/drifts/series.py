"""The figures of one table that are followed over time, each in a scale of even spread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from gristmill.validate.drifts.bins import value_counts
from gristmill.validate.drifts.shift import ShiftCode
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.statistics import Statistics

_RANKS = (0.1, 0.5, 0.9)
_TOPS = 5
_MAX_VALUES = 100
_MIN_SHARE = 0.02
_ROWS_MATTER = math.log(1.1)
_SHARE_MATTERS = 0.02
_SPREAD_MATTERS = 0.1
_MICROSECONDS_A_DAY = 86_400e6


class Figure(msgspec.Struct, frozen=True):
    """One figure of one table.

    Attributes:
        value: in the scale in which it is forecast.
        sampling: its standard deviation by sampling alone, in that scale.
        matters: the least change that matters, in that scale.
        count, total: cells or rows it is about.
        scale: how to write it: "log" of rows, "angle" of a share, "number", "age" in days.
    """

    code: ShiftCode
    feature: str | None
    name: str
    value: float
    sampling: float
    matters: float
    count: int
    total: int
    scale: str

    def spelled(self, value: float) -> str:
        """Write a value of this figure for people."""
        if self.scale == "log":
            return f"{math.exp(value):,.0f}"
        if self.scale == "angle":
            return f"{100 * math.sin(min(max(value, 0.0), math.pi / 2)) ** 2:.3g} %"
        return f"{value:.4g} days" if self.scale == "age" else f"{value:.5g}"


def top_values(tables: Sequence[Statistics], name: str) -> list[str]:
    """Return the values of a feature that are worth following: the top ones of the last table."""
    feature = tables[-1].features.get(name) if tables else None
    if feature is None or not feature.present:
        return []
    counts = value_counts(feature)
    if not 1 < len(counts) <= _MAX_VALUES:
        return []
    often = [v for v in counts if counts[v] >= _MIN_SHARE * feature.present]
    return often[:_TOPS]


def figures(statistics: Statistics, time: float, tops: dict[str, list[str]]) -> Iterator[Figure]:
    """Yield the figures of a table: rows, then missing, quantiles, mean, shares of each feature.

    Args:
        time: when the table was made, in days since 1970.
        tops: the values to follow of each feature.
    """
    rows = statistics.rows
    if not rows:
        return
    yield Figure(
        "row_count_change",
        None,
        "rows",
        math.log(rows),
        rows**-0.5,
        _ROWS_MATTER,
        rows,
        rows,
        "log",
    )
    for name, feature in statistics.features.items():
        yield _share(
            "presence_change", name, "share of missing cells", feature.missing, feature.rows
        )
        if feature.present:
            yield from _of_values(name, feature, tops.get(name, []))
        if feature.times is not None and feature.times.high is not None:
            age = time - float(feature.times.high) / _MICROSECONDS_A_DAY
            count = feature.times.n
            yield Figure(
                "stale_time", name, "age of the newest", age, 0.0, 0.5, count, count, "age"
            )


def _of_values(name: str, feature: Feature, tops: Sequence[str]) -> Iterator[Figure]:
    counts = value_counts(feature) if tops else {}
    for value in tops:
        count = round(counts.get(value, 0.0))
        yield _share("drift", name, f"share of {value!r}", count, feature.present)
    numbers = feature.numbers or feature.lengths
    if numbers is not None and numbers.n:
        yield from _of_numbers(name, "" if feature.numbers else "length, ", numbers)


def _of_numbers(name: str, over: str, numbers: Numbers) -> Iterator[Figure]:
    n = numbers.n
    marks = numbers.quantiles.quantiles(_RANKS)
    matters = _SPREAD_MATTERS * max(float(marks[-1] - marks[0]), 1e-12)
    yield Figure(
        "drift",
        name,
        f"{over}mean",
        numbers.mean,
        numbers.std / math.sqrt(n),
        matters,
        n,
        n,
        "number",
    )
    for rank, mark in zip(_RANKS, marks.tolist(), strict=True):
        reach = math.sqrt(rank * (1 - rank) / n) + numbers.quantiles.rank_error
        low, high = numbers.quantiles.quantiles([max(0.0, rank - reach), min(1.0, rank + reach)])
        sampling = float(high - low) / 2
        title = f"{over}quantile {rank:g}"
        yield Figure("drift", name, title, mark, sampling, matters, n, n, "number")


def _share(code: ShiftCode, feature: str, name: str, count: int, total: int) -> Figure:
    """A share by its angle, asin(sqrt(share)): its sampling deviation is 1 / (2 sqrt(n))."""
    share = count / total if total else 0.0
    angle = math.asin(math.sqrt(share))
    far = min(1.0, share + _SHARE_MATTERS)
    matters = abs(math.asin(math.sqrt(far)) - angle) or _SHARE_MATTERS
    return Figure(
        code, feature, name, angle, 0.5 / math.sqrt(max(1, total)), matters, count, total, "angle"
    )
