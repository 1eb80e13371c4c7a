"""Statistics of a column of numbers (values, lengths of text, or times) as a mergeable state."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from gristmill.validate.statistics.quantiles import Quantiles
from gristmill.validate.statistics.runs import count_values, merge_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = sys.float_info.max
_SQUARABLE = 1e150


@dataclass(frozen=True)
class Numbers:
    """Counts, moments, extremes and distribution of numbers.

    Moments, extremes and quantiles are of the finite numbers; NaN and infinities are counted
    apart. `low` and `high` keep integers as Python integers, exact at any size.

    Attributes:
        n: how many finite numbers.
        mean: their mean (float64); 0.0 when there are none.
        m2: the sum of squared deviations from the mean; the largest float where it is larger.
        low, high: the least and greatest; None when there are none.
    """

    n: int
    mean: float
    m2: float
    low: float | int | None
    high: float | int | None
    zeros: int
    nan: int
    pos_inf: int
    neg_inf: int
    quantiles: Quantiles

    @classmethod
    def of(cls, column: pl.Series) -> Self:
        """Compute the state of one partition of a numeric column; nulls are left out."""
        present = column.drop_nulls()
        if present.dtype in (pl.Int128, pl.UInt128):
            state = cls.of_counts(*count_values(present.cast(pl.Float64).to_numpy()))
            low, high = _integer(present.min()), _integer(present.max())
            figures: dict[str, Any] = state.figures() | {"low": low, "high": high}
            return cls(quantiles=state.quantiles, **figures)
        if present.dtype.is_decimal():
            present = present.cast(pl.Float64)
        return cls.of_counts(*count_values(present.to_numpy()))

    @classmethod
    def of_counts(cls, values: NDArray[Any], counts: NDArray[np.int64]) -> Self:
        """Compute the state of distinct numbers, ascending (NaN last), with their counts.

        Args:
            values: float64, or integers of any width, [m].
            counts: int64[m].
        """
        nan = pos_inf = neg_inf = 0
        if values.dtype.kind == "f":
            values = values + 0.0 if values.dtype == np.float64 else values.astype(np.float64)
            values, counts, (neg_inf, pos_inf, nan) = _finite(values, counts)
        low, high = (values[0].item(), values[-1].item()) if len(values) else (None, None)
        floats = values.astype(np.float64, copy=False)
        if low is not None and max(-low, high) > 2**53 and values.dtype.kind != "f":
            floats, counts = merge_counts(floats, counts)
        n = int(counts.sum())
        mean, m2 = _moments(floats, counts, n)
        zero = int(floats.searchsorted(0.0))
        zeros = int(counts[zero]) if zero < len(floats) and floats[zero] == 0 else 0
        quantiles = Quantiles.of_counts(floats, counts)
        return cls(n, mean, m2, low, high, zeros, nan, pos_inf, neg_inf, quantiles)

    def __add__(self, other: Numbers) -> Numbers:
        """Merge by the update of Chan, Golub, LeVeque 1979 (equations 2.1)."""
        n = self.n + other.n
        share = other.n / n if n else 0.0
        gap = other.mean - self.mean
        mean = self.mean + gap * share
        if not math.isfinite(gap):  # two means near either end of the floats
            mean = self.mean * (1 - share) + other.mean * share
        return Numbers(
            n=n,
            mean=mean,
            m2=min(_MOST, self.m2 + other.m2 + gap * gap * self.n * share),
            low=min((x for x in (self.low, other.low) if x is not None), default=None),
            high=max((x for x in (self.high, other.high) if x is not None), default=None),
            zeros=self.zeros + other.zeros,
            nan=self.nan + other.nan,
            pos_inf=self.pos_inf + other.pos_inf,
            neg_inf=self.neg_inf + other.neg_inf,
            quantiles=self.quantiles + other.quantiles,
        )

    @property
    def std(self) -> float:
        """Population standard deviation; 0.0 when there are no numbers."""
        return math.sqrt(self.m2 / self.n) if self.n else 0.0

    @property
    def not_finite(self) -> int:
        """How many are NaN or infinite."""
        return self.nan + self.pos_inf + self.neg_inf

    def figures(self) -> dict[str, object]:
        """The scalar figures, JSON-able: all that a state holds besides the quantiles."""
        names = ("n", "mean", "m2", "low", "high", "zeros", "nan", "pos_inf", "neg_inf")
        return {name: getattr(self, name) for name in names}


def _moments(values: NDArray[np.float64], counts: NDArray[np.int64], n: int) -> tuple[float, float]:
    if not n:
        return 0.0, 0.0
    # Shares before sums, so that a mean of the largest floats does not overflow.
    shares = counts / n
    mean = float(values @ shares)
    # The mean is right to a rounding of the numbers' size; the second sum mends what that leaves.
    gaps = values - mean
    mean += float(gaps @ shares)
    if max(-gaps[0], gaps[-1]) < _SQUARABLE:  # setting numpy's error state takes longer than this
        return mean, float(np.square(gaps, out=gaps) @ shares) * n
    with np.errstate(over="ignore"):
        return mean, min(_MOST, float(np.square(gaps, out=gaps) @ shares) * n)


def _finite(
    values: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[int, int, int]]:
    """Split -inf, inf and NaN off the ends of ascending floats."""
    if not len(values) or (values[0] > -math.inf and values[-1] < math.inf):
        return values, counts, (0, 0, 0)
    first = int(values.searchsorted(-math.inf, side="right"))
    end = int(values.searchsorted(math.inf))
    past = int(values.searchsorted(math.inf, side="right"))
    apart = (int(counts[:first].sum()), int(counts[end:past].sum()), int(counts[past:].sum()))
    return values[first:end], counts[first:end], apart


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None
