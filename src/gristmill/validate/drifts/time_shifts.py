"""Times that cannot be those of the next batch: older than the baseline, or moved far away."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from gristmill.validate.drifts.pairs import Pair
from gristmill.validate.drifts.shift import Shift
from gristmill.validate.statistics.numbers import Numbers

_SECOND = 1_000_000
_FAR = 180 * 86_400 * _SECOND
_SAME = 0.1
_MIN_ROWS = 20
_SPELLINGS = {1.0: (1e8, 4e9), 1e3: (1e11, 4e12), 1e6: (1e14, 4e15)}
_NAMES = re.compile(r"(^|_)(time|timestamp|ts|date|datetime|at|epoch)s?$", re.IGNORECASE)
_RANKS = (0.1, 0.25, 0.5, 0.75, 0.9)


def shifted_times(pair: Pair) -> Shift | None:
    """Return a shift where all times lie before the baseline's, or far behind its end.

    Batches follow one another, at most some months apart: a start more than the baseline's whole
    span, and more than 180 days, behind its end is told.
    """
    found = _both(pair)
    if found is None:
        return None
    before, after, scale = found
    if min(before.n, after.n) < _MIN_ROWS or before.low is None or after.low is None:
        return None
    old, new = (_span(side, scale) for side in (before, after))
    offset = _offset(before, after, scale)
    moved = "" if offset is None else f"; all moved by {_spelled(offset)}"
    ends = f"the baseline's are from {_time(old[0])} to {_time(old[1])}{moved}"
    if new[1] < old[0]:
        message = f"all times, up to {_time(new[1])}, are older than the baseline: {ends}"
    elif new[0] - old[1] > max(old[1] - old[0], _FAR):
        message = f"all times, from {_time(new[0])}, lie far behind the baseline: {ends}"
    else:
        return None
    return Shift("stale_time", pair.name, message, pair.drift, None, after.n, after.n)


def times_of(name: str, numbers: Numbers | None) -> float | None:
    """Return the ticks per second of whole numbers that are Unix times by name and size."""
    if numbers is None or not isinstance(numbers.low, int) or not _NAMES.search(name):
        return None
    low, high = float(numbers.low), float(numbers.high or 0)
    fits = (ticks for ticks, (least, most) in _SPELLINGS.items() if least <= low and high <= most)
    return next(fits, None)


def _both(pair: Pair) -> tuple[Numbers, Numbers, float] | None:
    """Return the times of both tables and how many microseconds one tick has."""
    if pair.before.times is not None and pair.after.times is not None:
        return pair.before.times, pair.after.times, 1.0
    ticks = times_of(pair.name, pair.before.numbers)
    if ticks is None or pair.numbers is None:
        return None
    return *pair.numbers, _SECOND / ticks


def _span(numbers: Numbers, scale: float) -> tuple[float, float]:
    return float(numbers.low or 0) * scale, float(numbers.high or 0) * scale


def _offset(before: Numbers, after: Numbers, scale: float) -> float | None:
    """Return by how much all times moved, in microseconds; None where not all moved alike."""
    gaps = after.quantiles.quantiles(_RANKS) - before.quantiles.quantiles(_RANKS)
    middle = float(np.median(gaps))
    spread = float(np.ptp(before.quantiles.quantiles(_RANKS)))
    return middle * scale if np.ptp(gaps) <= _SAME * max(spread, abs(middle)) else None


def _time(microseconds: float) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        return f"{microseconds / _SECOND:.6g} s after 1970"
    return moment.isoformat(sep=" ", timespec="minutes")[:16]


def _spelled(microseconds: float) -> str:
    days = microseconds / (86_400 * _SECOND)
    return f"{days:+,.0f} days" if abs(days) >= 2 else f"{24 * days:+.1f} hours"
