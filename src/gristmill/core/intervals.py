"""Intervals around measured figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from gristmill.core.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NEARLY_NORMAL = 1000
"""Degrees of freedom beyond which Student's t is the normal distribution to three digits."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval: `value` within [`low`, `high`] at the given `level`."""

    value: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(successes: float, trials: float, level: float = 0.95) -> Interval:
    """Return the Wilson score interval of a proportion (Wilson 1927; Brown, Cai, DasGupta 2001).

    With no trials the value is NaN and the interval is [0, 1].
    """
    if trials <= 0:
        return Interval(math.nan, 0.0, 1.0, level)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    # At the ends the two terms cancel exactly; in floating point they leave 1e-17.
    low = max(0.0, centre - half) if successes > 0 else 0.0
    high = min(1.0, centre + half) if successes < trials else 1.0
    return Interval(share, low, high, level)


def student_quantile(level: float, degrees: int) -> float:
    """Return what lies between -t and t in `level` of the draws of Student's t (Student 1908).

    The sums for whole degrees of freedom: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.

    Args:
        level: between 0 and 1.
        degrees: of freedom, at least 1.
    """
    if degrees > _NEARLY_NORMAL:
        return NormalDist().inv_cdf(0.5 + level / 2)
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _between(middle, degrees) < level else (low, middle)
    return math.tan(high) * math.sqrt(degrees)


def _between(angle: float, degrees: int) -> float:
    """Return the chance that Student's t lies between -t and t, where t = tan(angle) sqrt(df)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine if odd else 1.0), 0.0
    for step in range(1 + odd, degrees, 2):
        total += term
        term *= cosine * cosine * step / (step + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    rows: int,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a statistic of rows (Efron 1979).

    Args:
        statistic: takes an int64 array of row positions (length `rows`, with repeats) and returns
            the figure on them. Paired comparisons use both models on the same positions.
        rows: how many rows there are; at least 1.
        draws: how many resamples.
        level: coverage of the interval.
        seed: makes the interval reproducible.
    """
    import numpy as np

    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    figures = [statistic(generator.integers(0, rows, rows)) for _ in range(draws)]
    low, high = np.nanquantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(np.arange(rows)), float(low), float(high), level)
