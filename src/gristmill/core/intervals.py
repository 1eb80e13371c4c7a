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
