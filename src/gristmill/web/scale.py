"""From data to pixels: nice ticks and linear scales."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_MANTISSAS = (1.0, 2.0, 5.0, 10.0)


def finite(values: Iterable[float | None]) -> list[float]:
    """Keep the values that can be drawn."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def nice_step(span: float, count: int) -> float:
    """Return the step of 1, 2 or 5 times a power of ten that cuts `span` into at most `count`."""
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(mantissa * power for mantissa in _MANTISSAS if mantissa * power >= raw * (1 - 1e-9))


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers within [low, high], at most `count` + 1 of them (Heckbert 1990).

    A span too small to part, or none, gives one tick at `low`.
    """
    span = high - low
    if not math.isfinite(span) or span <= abs(low) * 1e-9 or span < 1e-300:
        return [low]
    step = nice_step(span, count)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [
        round(place * step, 12 - math.floor(math.log10(step))) for place in range(first, last + 1)
    ]


def format_number(value: float, step: float | None = None) -> str:
    """Print a number for an axis, with the decimals that `step` needs, or three digits."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size != 0 and (size >= 1e7 or size < 1e-4):
        return f"{value:.3g}"
    reach = step if step else size / 100 if size else 1.0
    decimals = max(0, -math.floor(math.log10(reach) + 1e-9))
    text = f"{value:,.{decimals}f}"
    return text.replace("-", "−")


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from the data's [low, high] to the pixels' [start, stop]."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`, held within the scale's ends."""
        if self.high <= self.low:
            return (self.start + self.stop) / 2
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Return (pixel, text) of round values, at most `count` + 1."""
        values = nice_ticks(self.low, self.high, count)
        step = values[1] - values[0] if len(values) > 1 else None
        return [(self(value), format_number(value, step)) for value in values]


def scale_over(
    values: Iterable[float | None], start: float, stop: float, *, zero: bool = False, count: int = 5
) -> Scale:
    """Return a scale whose ends are round numbers around all finite `values`.

    Args:
        values: what must fit; an empty collection gives [0, 1].
        start: pixel of the low end.
        stop: pixel of the high end.
        zero: let the scale include 0, as lengths of bars need.
        count: about how many ticks there will be.
    """
    numbers = finite(values) or [0.0, 1.0]
    low, high = min(numbers), max(numbers)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        room = abs(low) * 0.1 or 1.0
        low, high = (0.0, max(high, 1.0)) if zero and high == 0 else (low - room, high + room)
    step = nice_step(high - low, count)
    first = math.floor(low / step + 1e-9) * step
    last = math.ceil(high / step - 1e-9) * step
    return Scale(min(first, low), max(last, high), start, stop)
