"""Figures of a feature as people read them: three digits, shares, dates, counts with bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from gristmill.web.scale import format_number

DASH = "–"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_WHOLE = 10_000_000


def figure(value: float | None) -> str:
    """Print a number with about three digits, whole ones in full up to ten millions."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) < _WHOLE and value == int(value):
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= _WHOLE:
        return f"{value:.4g}".replace("e+", "e").replace("-", "−")
    return format_number(float(value)).replace("e-0", "e−").replace("e-", "e−")


def figures_among(values: Sequence[float]) -> Callable[[float], str]:
    """Return what prints numbers so that a hundredth of the length they span still shows."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    span, size = high - low, max(abs(low), abs(high))
    if not 0 < span < size / 2 or span >= 100 or size >= _WHOLE:
        return figure
    if all(value == int(value) for value in values):
        return figure
    decimals = max(0, 2 - math.floor(math.log10(span)))
    return lambda value: f"{value:,.{decimals}f}".replace("-", "−")


def moment(microseconds: float | None) -> str:
    """Print a time in microseconds since 1970 as a date, with the hour where it has one."""
    if microseconds is None or not math.isfinite(microseconds):
        return DASH
    try:
        when = _EPOCH + timedelta(microseconds=int(microseconds))
    except OverflowError:
        return figure(microseconds)
    return f"{when:%Y-%m-%d}" if not microseconds % _DAY else f"{when:%Y-%m-%d %H:%M}"


def share(count: float, total: float) -> str:
    """Print a part of a total as a percentage; "0 %" is none at all."""
    return percent(count / total if total else 0.0)


def percent(part: float) -> str:
    """Print a share in [0, 1] as a percentage; "0 %" is none, "100 %" is all."""
    if part <= 0:
        return "0 %"
    if part < 0.001:
        return "< 0.1 %"
    if part >= 1:
        return "100 %"
    return f"{min(part, 0.999):.1%}".replace("%", " %")


def count(value: float, *, exact: bool = True) -> str:
    """Print a count; an approximate one is marked."""
    return f"{'' if exact else '≈ '}{value:,.0f}"


def bounded(value: float, low: float, high: float) -> str:
    """Print a count with the bounds it lies in, or alone where it is exact."""
    if low == high:
        return count(value)
    return f"{count(value, exact=False)} ({low:,.0f} to {high:,.0f})"
