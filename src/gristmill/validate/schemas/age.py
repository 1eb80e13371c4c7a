"""How old data may be, as people write it: "2 days", "6 hours", "90 min"."""

from __future__ import annotations

import re
from datetime import timedelta

_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)
_SECONDS = {
    "s": 1, "sec": 1, "second": 1,
    "m": 60, "min": 60, "minute": 60,
    "h": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400,
    "w": 604_800, "week": 604_800,
}  # fmt: skip


def parse_age(text: str) -> timedelta:
    """Parse an age.

    Raises:
        ValueError: the text is not a number with a known unit, or no time at all is allowed.
    """
    match = _FORM.fullmatch(text)
    unit = match[2].lower() if match else ""
    seconds = _SECONDS.get(unit) or _SECONDS.get(unit.removesuffix("s"))
    if match is None or seconds is None or not float(match[1]):
        raise ValueError(f"expected an age such as '2 days' or '6 hours', found {text!r}")
    try:
        return timedelta(seconds=float(match[1]) * seconds)
    except OverflowError as error:
        raise ValueError(f"expected an age below a million years, found {text!r}") from error
