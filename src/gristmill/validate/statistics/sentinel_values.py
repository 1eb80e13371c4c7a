"""Sentinels: values that stand for "unknown" in the guise of a number, a time or a text.

A value is called a sentinel only if it is repeated more than its neighbours and stands apart from
all others: by its distance, as the only value below zero, or as an end of a machine type.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gristmill.validate.statistics.text import NULL_WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

    Floats = NDArray[np.float64]

_LEAST_VALUES = 8
_LEAST_COUNT = 3
_TIMES_NEIGHBOURS = 3.0
_NEIGHBOURS = 5
_DAY = 86_400_000_000
_BELOW_ZERO = {-1.0, *(-(10.0**d - 1) for d in range(1, 10)), *(-(10.0**d) for d in range(3, 10))}
_NINES = {10.0**d - 1 for d in range(2, 13)}
_TYPE_ENDS = {
    *(sign * float(2**bits) for bits in (31, 32, 63, 64) for sign in (-1, 1)),
    *(float(2**bits - 1) for bits in (15, 16, 31, 32)),
    *(sign * float(np.finfo(kind).max) for kind in (np.float32, np.float64) for sign in (-1, 1)),
}
_BELOW = "the only value below zero, repeated"
_KNOWN_DAYS = ("0001-01-01", "1900-01-01", "1899-12-30", "1970-01-01", "9999-12-31", "2099-12-31")


class Sentinel(msgspec.Struct, frozen=True):
    """A value that seems to stand for "unknown".

    Attributes:
        value: as it is spelled in the data: a number, a text, or a time (ISO 8601).
        count: how many cells hold it (an estimate where the figures are sketched).
        why: what gave it away, in a few words.
    """

    value: int | float | str
    count: int
    why: str


def sentinels(feature: Feature) -> list[Sentinel]:
    """Find the sentinels of a column from its value counts, the most frequent first.

    Columns with few different values are codes, in which no value stands apart.
    """
    found = _of_texts(feature)
    if feature.numbers is not None:
        found += _of_numbers(feature.numbers)
    if feature.times is not None:
        found += [_as_time(one) for one in _of_numbers(feature.times, times=True)]
    return sorted(found, key=lambda one: (-one.count, str(one.value)))


def _of_texts(feature: Feature) -> list[Sentinel]:
    counts = (feature.values.counts() or {}) if feature.values is not None else {}
    return [
        Sentinel(text, count, "a word for a missing value")
        for text, count in counts.items()
        if text.strip().lower() in NULL_WORDS and text.strip()
    ]


def _of_numbers(numbers: Numbers, *, times: bool = False) -> list[Sentinel]:
    values, counts = _value_counts(numbers)
    found: list[Sentinel] = []
    # An end may hide another behind it: 9999 behind 99999.
    low, high = 0, len(values)
    for _ in range(4):
        ends = [(low, 1), (high - 1, -1)]
        if high - low < _LEAST_VALUES:
            break
        hits = {
            end: why
            for end, step in ends
            if (why := _why(values, counts, low, high, end, step, times))
        }
        found += [Sentinel(_plain(values[i]), int(counts[i]), why) for i, why in hits.items()]
        if not hits:
            break
        low, high = low + (low in hits), high - (high - 1 in hits)
    return found


def _why(
    values: Floats, counts: Floats, low: int, high: int, end: int, step: int, times: bool
) -> str | None:
    """Say why the value at one end of values[low:high] is a sentinel; None if it is not."""
    value, count = float(values[end]), float(counts[end])
    rest = slice(low + 1, high) if step > 0 else slice(low, high - 1)
    near = values[end + step]
    gap, spread = abs(value - near), _spread(values[rest], counts[rest])
    if not times and value in _TYPE_ENDS and gap > spread:
        return "the end of a machine type, apart from all other values"
    if times and _is_known_day(value) and gap > spread:
        return "a date that stands for no date, apart from all others"
    beside = (
        counts[end + step :: step][:_NEIGHBOURS] if step > 0 else counts[:end][::-1][:_NEIGHBOURS]
    )
    if not times and step > 0 and value in _BELOW_ZERO and near >= 0:
        return _BELOW if _off_tail(values[end:high], counts[end:high]) else None
    if not _beyond(count, float(beside.mean())):
        return None
    if gap > spread:
        return "repeated, and further from all other values than they are from each other"
    if not times and step < 0 and value in _NINES and gap > 0.1 * spread:
        return "the largest value, all nines, repeated beyond its neighbours"
    return None


def _beyond(count: float, beside: float) -> bool:
    """Whether a count is beyond its neighbours', by ratio and by four Poisson deviations."""
    return count >= max(_LEAST_COUNT, _TIMES_NEIGHBOURS * beside, beside + 4 * math.sqrt(beside))


def _off_tail(values: Floats, counts: Floats) -> bool:
    """Whether the first value is no last step of a tail that reaches below zero.

    A tail goes by the steps that the next values go by, and thins out: it is less frequent than
    the next value but zero, which may be frequent by itself.
    """
    step = float(np.median(np.diff(values[1:12])))
    gap = float(values[1] - values[0])
    if not step / 2 <= gap <= 3 * step:
        return bool(counts[0] >= _LEAST_COUNT)
    return _beyond(float(counts[0]), float(counts[1:][values[1:] != 0][0]))


def _spread(values: Floats, counts: Floats) -> float:
    """The width of the central 98 % of the cells, or of half the different values if greater.

    The second speaks where nearly all cells hold one value (zero), whose spread would be nothing.
    """
    reached = np.cumsum(counts) / counts.sum()
    low, high = np.searchsorted(reached, [0.01, 0.99])
    quarter = len(values) // 4
    middle = values[len(values) - 1 - quarter] - values[quarter]
    return float(max(values[min(high, len(values) - 1)] - values[low], middle))


def _value_counts(numbers: Numbers) -> tuple[Floats, Floats]:
    """Every value with its count; from sketched figures, quantiles with the mass at each."""
    counted = numbers.quantiles.value_counts()
    if counted is not None:
        return counted[0], counted[1].astype(np.float64)
    marks = np.unique(numbers.quantiles.quantiles([i / 1000 for i in range(1001)]))
    at = numbers.quantiles.ranks(marks) - numbers.quantiles.ranks(np.nextafter(marks, -np.inf))
    # A mass within the error of a rank is no evidence of a repeated value.
    certain = np.where(at > 2 * numbers.quantiles.rank_error, at, 0.0)
    return marks, np.maximum(1.0, np.round(certain * numbers.n))


def _plain(value: float) -> int | float:
    return int(value) if value.is_integer() else float(value)


def _is_known_day(microseconds: float) -> bool:
    days = {dt.date.fromisoformat(day).toordinal() - 719_163 for day in _KNOWN_DAYS}
    return microseconds // _DAY in days


def _as_time(one: Sentinel) -> Sentinel:
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=float(one.value))
    return Sentinel(moment.isoformat(sep=" "), one.count, one.why)
