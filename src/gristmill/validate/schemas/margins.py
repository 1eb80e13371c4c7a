"""Bounds that a clean sample of the same source keeps: tails of numbers, and shares of cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.core.intervals import wilson

if TYPE_CHECKING:
    from gristmill.validate.statistics.numbers import Numbers

_LEVEL = 0.9998
_FEW = 20
_SURE = 1000
_TAIL_STEPS = 3
_SURE_STEPS = 4
_TAIL_PARTS = 20
_LIGHT = 1.5
_RARE = 0.05
_UNKNOWN = 5
_WALL_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of numbers, and the share of them that may lie outside."""

    low: float | int | None
    high: float | int | None
    outside: float

    @classmethod
    def of(cls, numbers: Numbers | None, natural: tuple[float, float] | None = None) -> Range:
        """Infer bounds that a clean sample of the same size hardly ever leaves.

        No tail can be known beyond its sample, so bounds come with a share of numbers that may lie
        outside: `unseen_share`. An exponential tail exceeds the bounds with probability n^-2.5; the
        share is for what a tail does not foretell, such as a few numbers of another kind.

        Args:
            numbers: the figures.
            natural: bounds that what is counted cannot leave (degrees of latitude).
        """
        if numbers is None or numbers.n < _FEW or numbers.low is None or numbers.high is None:
            return cls(None, None, 0.0)
        upper, lower = _Tail.upper(numbers), _Tail.lower(numbers)
        sure = numbers.n >= _SURE and upper.is_light and lower.is_light
        low, high = -lower.reach(sure), upper.reach(sure)
        if isinstance(numbers.low, int) and isinstance(numbers.high, int):
            low, high = _whole(low, numbers.low, -1), _whole(high, numbers.high, 1)
        else:
            low, high = _round_out(low, numbers.low, -1), _round_out(high, numbers.high, 1)
        if natural and natural[0] <= numbers.low and numbers.high <= natural[1]:
            low, high = max(low, natural[0]), min(high, natural[1])
            if (low, high) == natural:
                return cls(low, high, 0.0)
        return cls(low, high, unseen_share(numbers.n))


@dataclass(frozen=True, slots=True)
class _Tail:
    """The upper tail of numbers (the lower one with all signs turned): its quantiles.

    Attributes:
        n: how many numbers.
        extreme: the greatest.
        inner: the quantile at rank 1 - 1/sqrt(n).
        middle: the median.
        marks: the middles of twenty equal parts of the tail beyond `inner`.
    """

    n: int
    extreme: float
    inner: float
    middle: float
    marks: list[float]

    @classmethod
    def upper(cls, numbers: Numbers) -> _Tail:
        ranks = _ranks(numbers.n)
        middle, inner, *marks = numbers.quantiles.quantiles([0.5, *(1 - r for r in ranks)]).tolist()
        return cls(numbers.n, float(numbers.high or 0), inner, middle, marks)

    @classmethod
    def lower(cls, numbers: Numbers) -> _Tail:
        found = numbers.quantiles.quantiles([0.5, *_ranks(numbers.n)]).tolist()
        middle, inner, *marks = [-mark for mark in found]
        return cls(numbers.n, -float(numbers.low or 0), inner, middle, marks)

    @property
    def is_light(self) -> bool:
        """Whether the tail ends at a wall, or is no longer than an exponential one.

        From the median to the inner quantile an exponential tail runs ln(n)/2 - ln 2 scales, and
        ln(n)/2 more to the extreme.
        """
        return self.extreme - self.inner <= _LIGHT * (self.inner - self.middle)

    def reach(self, sure: bool) -> float:
        """How far the tail may reach: the farther of two extrapolations.

        An exponential tail goes on by multiples of the gap between the extreme and the quantile at
        rank 1 - 1/sqrt(n). A power tail goes to the quantile of level n^-2 (Weissman 1978), with
        Hill's estimate (1975) of its index from the quantiles within the tail.
        """
        if self.extreme == self.inner:
            return self.extreme + self._wall_margin()
        steps = _SURE_STEPS if sure else _TAIL_STEPS
        linear = self.extreme + steps * (self.extreme - self.inner)
        if self.inner <= 0 or sure:
            return linear
        hill = sum(math.log(mark / self.inner) for mark in self.marks) / len(self.marks)
        power: float = self.inner * math.pow(self.n, 1.5 * min(hill, 1.0))
        return max(linear, power)

    def _wall_margin(self) -> float:
        """How far a wall may move: not at all where it is zero or a power of ten.

        Other walls are where somebody capped the numbers (an age of 94), and the next one may cap
        them a little further out.
        """
        cap = abs(self.extreme)
        if not cap or math.log10(cap).is_integer():
            return 0.0
        return _WALL_MARGIN * (self.extreme - self.middle)


def least_share(count: int, total: int) -> float:
    """Bound a share from below by what a sample shows (Wilson, one chance in 10,000).

    Below 5 % nothing is asked: a clean batch of 200 rows might have none.
    """
    low = wilson(count, total, _LEVEL).low
    return 0.0 if low < _RARE else math.floor(low * 1e4) / 1e4


def most_share(count: int, total: int) -> float:
    """Bound a share from above by what a sample shows (Wilson, one chance in 10,000)."""
    return ceil_share(wilson(count, total, _LEVEL).high)


def unseen_share(total: int) -> float:
    """The share that a sample without any such cell hardly excludes: five in n.

    A share of 5/n is missed by a sample of n once in 150 times (e^-5). A check allows for chance
    on top of it, so that both together are as strict as Fisher's exact test of two samples of n at
    1e-5: that asks for 17 cells of n, beside none in n; this for 18.
    """
    return ceil_share(_UNKNOWN / total) if total else 1.0


def tolerated(count: int, total: int) -> float:
    """The share of a fault that is seen already, from above; none where none was seen."""
    return most_share(count, total) if count else 0.0


def ceil_share(share: float) -> float:
    """Round a share up to five digits."""
    return min(1.0, math.ceil(share * 1e5) / 1e5)


def is_walled(numbers: Numbers | None) -> bool:
    """Whether zero is a wall: reached, or the start of a distribution that leans on it."""
    if numbers is None or numbers.n < 100 or numbers.low is None or numbers.high is None:
        return False
    middle = float(numbers.quantiles.quantiles([0.5])[0])
    leans = numbers.low > 0 and 2 * (middle - numbers.low) < numbers.high - middle
    return numbers.low == 0 or leans


def _ranks(n: int) -> list[float]:
    tail = 1 / math.sqrt(n)
    return [tail, *(tail * (part + 0.5) / _TAIL_PARTS for part in range(_TAIL_PARTS))]


def _whole(bound: float, extreme: int, sign: int) -> int:
    """Round a bound of whole numbers; a margin of less than one is none."""
    if abs(bound - extreme) < 1:
        return extreme
    return math.ceil(bound) if sign > 0 else math.floor(bound)


def _round_out(bound: float, extreme: float, sign: int) -> float:
    """Round a bound to two digits of its margin, away from the data; the data's edge stays."""
    if bound in (extreme, 0):
        return float(bound) + 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(bound - extreme))) - 1)
    steps = bound / unit
    return float(f"{(math.ceil(steps) if sign > 0 else math.floor(steps)) * unit:.12g}")
