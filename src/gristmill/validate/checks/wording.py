"""The words of findings: counts, shares, bounds."""

from __future__ import annotations

import math

from gristmill.validate.checks.seen import Seen


def of(seen: Seen, noun: str = "cells") -> str:
    """`1 of 5,001 cells`; "at least" or "about" where only statistics are known."""
    about = "" if seen.exact else "about "
    return f"{about}{seen.count:,} of {seen.total:,} {noun}"


def verb(seen: Seen, one: str, many: str) -> str:
    """The form of a verb that agrees with the count."""
    return one if seen.count == 1 else many


def listed(seen: Seen, shown: int = 5) -> str:
    """`: 'a', 'b', ...`, or nothing where no value is known."""
    if not seen.examples:
        return ""
    more = ", ..." if len(seen.values) > shown else ""
    return f": {', '.join(seen.examples[:shown])}{more}"


def percent(share: float) -> str:
    """A share with four digits: `12.35 %`; never 0 % or 100 % for what only nearly is."""
    spelled = f"{100 * share:.4g}"
    if share < 1 and float(spelled) >= 100:
        spelled = f"{100 * down(share, 6):.6g}"
    return f"{spelled} %"


def down(share: float, digits: int = 4) -> float:
    """Round a share down, to a limit that it passes."""
    parts = float(10**digits)
    return math.floor(share * parts) / parts


def up(share: float) -> float:
    """Round a share up, to a limit that it passes."""
    return min(1.0, math.ceil(share * 1e4) / 1e4)


def between(low: object, high: object) -> str:
    """`within 0 to 23`, `at least 0`, `at most 23`."""
    if low is None:
        return f"at most {_number(high)}"
    if high is None:
        return f"at least {_number(low)}"
    return f"within {_number(low)} to {_number(high)}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
