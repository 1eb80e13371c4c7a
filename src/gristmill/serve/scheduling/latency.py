"""How long a batch takes: a straight line in its work, and how far above it the slow ones lie."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import frexp, sqrt

_FORGET = 0.98
_KEPT = 512
_QUANTILE = 0.998
_REFIT_EVERY = 8
_EAGER = 32
_TRUSTED = 8


class _Size:
    """Sums over the batches of one size, a power of two wide."""

    __slots__ = ("last", "weight", "x", "xx", "xy", "y")

    def __init__(self) -> None:
        self.weight = self.x = self.y = self.xx = self.xy = 0.0
        self.last = 0

    def add(self, x: float, y: float, now: int) -> None:
        self.weight = self.weight * _FORGET + 1.0
        self.x = self.x * _FORGET + x
        self.y = self.y * _FORGET + y
        self.xx = self.xx * _FORGET + x * x
        self.xy = self.xy * _FORGET + x * y
        self.last = now


class LatencyModel:
    """Seconds of a batch as `fixed + per_work x work`, fitted while the server runs.

    Weighted least squares on relative errors. Old batches are forgotten (weight 0.98 to the power
    of the batches since), but never wholly: the last batches of every size, in powers of two, keep
    the weight of one batch, so that an hour of single requests does not make the model forget what
    a full batch costs. Both coefficients stay at or above zero.

    What lies above the line is kept as a sliding window of residuals, each divided by the root
    of its prediction, as if a batch were a sum of independent pieces of work; `upper` adds their
    99.8 % quantile. Stalls are cut: in the fit to twice `upper`, in the window to twice the
    prediction. A process that stops for 100 ms now and then cannot plan for it, and must not refuse
    all requests that allow 100 ms for a batch of 20 us.

    Attributes:
        fixed: seconds of a batch, however small.
        per_work: seconds per unit of work.
        noise: the margin of `upper` over the root of the prediction; root of seconds.
        seen: how many batches were observed.
    """

    __slots__ = ("_order", "_sizes", "_window", "fixed", "noise", "per_work", "seen")

    def __init__(self) -> None:
        self.fixed = self.per_work = self.noise = 0.0
        self.seen = 0
        self._sizes: dict[int, _Size] = {}
        self._window: deque[float] = deque()
        self._order: list[float] = []

    def seconds(self, work: float) -> float:
        """Return how long a batch of this much work should take; 0 before any was seen."""
        return self.fixed + self.per_work * work

    def upper(self, work: float) -> float:
        """Return the seconds within which 99.8 % of the batches of this much work stay."""
        expected = self.fixed + self.per_work * work
        return expected + self.noise * sqrt(expected)

    def observe(self, work: float, seconds: float) -> None:
        """Take in one batch: its work and how long it ran."""
        seconds = max(seconds, 1e-7)
        expected = self.fixed + self.per_work * work
        kept = seconds
        if self.seen >= _TRUSTED:
            kept = min(seconds, 2.0 * self.upper(work))
        self.seen += 1
        size = frexp(work)[1]
        found = self._sizes.get(size)
        if found is None:
            found = self._sizes[size] = _Size()
        found.add(work, kept, self.seen)
        if self.seen <= _EAGER or self.seen % _REFIT_EVERY == 0:
            self._fit()
            if self.seen <= _EAGER:
                expected = self.fixed + self.per_work * work
        self._remember(min(seconds - expected, expected) / sqrt(max(expected, 1e-7)))

    def most(self, seconds: float) -> float:
        """Return the most work of a batch whose `upper` is within `seconds`; below 0 if none is."""
        if seconds <= 0.0:
            return -1.0
        root = (sqrt(self.noise * self.noise + 4.0 * seconds) - self.noise) / 2.0
        spare = root * root - self.fixed
        if self.per_work > 0.0:
            return spare / self.per_work
        return float("inf") if spare >= 0.0 else -1.0

    def paid(self) -> float:
        """Return the work of a batch half of whose time is its fixed part."""
        return self.fixed / self.per_work if self.per_work > 0.0 else float("inf")

    def _fit(self) -> None:
        weight = x = y = xx = xy = 0.0
        for size in self._sizes.values():
            aged = max(_FORGET ** (self.seen - size.last), 1.0 / size.weight)
            share = aged * (size.weight / size.y) ** 2
            weight += share * size.weight
            x += share * size.x
            y += share * size.y
            xx += share * size.xx
            xy += share * size.xy
        self.fixed, self.per_work = _line(weight, x, y, xx, xy)

    def _remember(self, residual: float) -> None:
        window, order = self._window, self._order
        window.append(residual)
        insort(order, residual)
        if len(window) > _KEPT:
            del order[bisect_left(order, window.popleft())]
        place = min(len(order) - 1, int(_QUANTILE * len(order)))
        self.noise = max(order[place], 0.0)


def _line(weight: float, x: float, y: float, xx: float, xy: float) -> tuple[float, float]:
    """Return (intercept, slope), both at or above zero, of the sums of weighted points."""
    spread = weight * xx - x * x
    if spread <= 1e-9 * weight * xx:
        return y / weight, 0.0
    slope = (weight * xy - x * y) / spread
    if slope <= 0.0:
        return y / weight, 0.0
    fixed = (y - slope * x) / weight
    return (fixed, slope) if fixed >= 0.0 else (0.0, xy / xx)
