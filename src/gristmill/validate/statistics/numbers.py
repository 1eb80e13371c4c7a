"""Statistics of a column of numbers (values, lengths of text, or times) as a mergeable state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from gristmill.validate.statistics.quantiles import Quantiles


@dataclass(frozen=True)
class Numbers:
    """Counts, moments, extremes and distribution of numbers.

    Moments, extremes and quantiles are of the finite numbers; NaN and infinities are counted
    apart. `low` and `high` keep integers as Python integers, exact at any size.

    Attributes:
        n: how many finite numbers.
        mean: their mean (float64); 0.0 when there are none.
        m2: the sum of squared deviations from the mean.
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
        nan = pos_inf = neg_inf = 0
        if present.dtype.is_float():
            nan = int(present.is_nan().sum())
            pos_inf, neg_inf = int((present == math.inf).sum()), int((present == -math.inf).sum())
            present = present.filter(present.is_finite())
        floats = present.cast(pl.Float64).to_numpy()
        mean = float(floats.mean()) if len(floats) else 0.0
        return cls(
            n=len(floats),
            mean=mean,
            m2=float(np.square(floats - mean).sum()),
            low=_scalar(present.min()),
            high=_scalar(present.max()),
            zeros=int((present == 0).sum()),
            nan=nan,
            pos_inf=pos_inf,
            neg_inf=neg_inf,
            quantiles=Quantiles.of(floats),
        )

    def __add__(self, other: Numbers) -> Numbers:
        """Merge by the update of Chan, Golub, LeVeque 1979 (equations 2.1)."""
        n = self.n + other.n
        gap = other.mean - self.mean
        share = other.n / n if n else 0.0
        return Numbers(
            n=n,
            mean=self.mean + gap * share,
            m2=self.m2 + other.m2 + gap * gap * self.n * share,
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
        """The scalar figures, JSON-able: what `from_figures` needs besides the quantiles."""
        names = ("n", "mean", "m2", "low", "high", "zeros", "nan", "pos_inf", "neg_inf")
        return {name: getattr(self, name) for name in names}


def _scalar(value: object) -> float | int | None:
    return value if isinstance(value, int | float) else None
