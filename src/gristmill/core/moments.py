"""Moments as people write them: a date, a time, `yesterday`, `3 days ago`, `last tuesday`."""

from __future__ import annotations

import datetime as dt
import re
import time

from gristmill.core.errors import UsageError

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_AGO = re.compile(rf"(\d+) ({'|'.join(_UNITS)})s? ago")


def parse_moment(text: str, now: dt.datetime | None = None) -> float:
    """Return seconds since 1970 of a moment in the past, in local time unless it says otherwise.

    A day without a time means its end, so that "what was live on Tuesday" is what was live when
    Tuesday was over; of today, it means now.

    Args:
        text: `2026-11-17`, `2026-11-17 14:30`, ISO 8601 with or without a zone, `now`, `today`,
            `yesterday`, `3 days ago`, `tuesday` or `last tuesday`.
        now: the present, with its zone; by default that of the clock.

    Raises:
        UsageError: it is none of these.
    """
    present = dt.datetime.now().astimezone() if now is None else now
    words = " ".join(text.lower().split())
    ago = _AGO.fullmatch(words)
    if ago:
        return present.timestamp() - int(ago[1]) * _UNITS[ago[2]]
    day = _day(words, present.date())
    if day is not None:
        return min(_end(day, present), present.timestamp())
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"expected a moment, found {text!r}",
            fix="write 2026-11-17, '2026-11-17 14:30', yesterday, '3 days ago' or 'last tuesday'",
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=present.tzinfo)).timestamp()


def format_moment(at: float) -> str:
    """Print seconds since 1970 as local time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _day(words: str, today: dt.date) -> dt.date | None:
    if words in ("now", "today"):
        return today
    if words == "yesterday":
        return today - dt.timedelta(days=1)
    name = words.removeprefix("last ")
    if name in _DAYS:
        back = (today.weekday() - _DAYS.index(name)) % 7 or 7
        return today - dt.timedelta(days=back)
    try:
        return dt.date.fromisoformat(words)
    except ValueError:
        return None


def _end(day: dt.date, present: dt.datetime) -> float:
    after = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), present.tzinfo)
    return after.timestamp() - 1e-6
