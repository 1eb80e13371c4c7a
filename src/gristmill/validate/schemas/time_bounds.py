"""Bounds of times: the earliest with a margin, the latest open, since time goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gristmill.validate.statistics.time_range import UnixUnit

if TYPE_CHECKING:
    from gristmill.validate.statistics.numbers import Numbers

_UNITS: dict[UnixUnit, tuple[str, int]] = {
    "s": ("unix seconds", 1),
    "ms": ("unix milliseconds", 10**3),
    "us": ("unix microseconds", 10**6),
    "ns": ("unix nanoseconds", 10**9),
}
_DAY, _YEAR = 86_400, 31_557_600
_MOST_YEARS = 5


def earliest_of(times: Numbers | None) -> str | None:
    """Return a day that lies before the first time by as much as all times span."""
    if times is None or times.low is None or times.high is None:
        return None
    first, span = float(times.low) / 1e6, float(times.high - times.low) / 1e6
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=first - max(span, _DAY))
    except OverflowError:
        return None
    return moment.date().isoformat()


def unix_bounds(numbers: Numbers, unit: UnixUnit) -> dict[str, object]:
    """Return unit and bounds that let time go on for as long as it did, one to five years."""
    name, ticks = _UNITS[unit]
    low, high = int(numbers.low or 0), int(numbers.high or 0)
    margin = min(max(high - low, _YEAR * ticks), _MOST_YEARS * _YEAR * ticks)
    return {"unit": name, "min": low - max(high - low, _DAY * ticks), "max": high + margin}
