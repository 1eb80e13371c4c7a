"""Whether probabilities mean what they say: of answers given with 80 %, are 80 % right?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gristmill.core.errors import DataError
from gristmill.core.intervals import Interval, bootstrap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

BINS = 10
_DRAWS = 200


def calibration_error(chance: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error (Naeini, Cooper and Hauskrecht 2015), in [0, 1].

    The bins hold equally many rows (Nguyen and O'Connor 2015), so that none is nearly empty. On
    few rows it is above zero though all is well; see `spiegelhalter`.

    Args:
        chance: float[n], the probability that was given to each answer.
        right: bool[n], whether the answer was right.
        bins: how many groups of rows are looked at.

    Raises:
        DataError: the two are not of equal length, or empty.
    """
    return _error(*_by_chance(chance, right), bins)


def calibration_interval(
    chance: ArrayLike, right: ArrayLike, bins: int = BINS, *, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the expected calibration error with its bootstrap interval.

    Args:
        chance, right, bins: as for `calibration_error`.
        level: coverage of the interval.
        seed: of the draws.

    Raises:
        DataError: as `calibration_error`.
    """
    import numpy as np

    given, hit = _by_chance(chance, right)

    def on(rows: NDArray[np.int64]) -> float:
        chosen = np.sort(rows)  # and so by chance
        return _error(given[chosen], hit[chosen], bins)

    return bootstrap(on, len(given), draws=_DRAWS, level=level, seed=seed)


def spiegelhalter(chance: ArrayLike, right: ArrayLike) -> float:
    """Return Spiegelhalter's z (1986): of a standard normal, if the probabilities are true.

    Above 0 answers are wrong more often than they say (or surer), below 0 less often. 0 where every
    probability is 0, 1/2 or 1, of which the test cannot judge.

    Raises:
        DataError: as `calibration_error`.
    """
    given, hit = _by_chance(chance, right)
    weight = 1 - 2 * given
    spread = float((weight**2 * given * (1 - given)).sum())
    return float(((hit - given) * weight).sum()) / math.sqrt(spread) if spread > 0 else 0.0


def _by_chance(
    chance: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both columns in the order of the probabilities."""
    import numpy as np

    given, hit = np.asarray(chance, np.float64), np.asarray(right, np.float64)
    if given.shape != hit.shape or given.ndim != 1 or given.size == 0:
        raise DataError(
            f"expected two equally long, non-empty columns, found {given.shape} and {hit.shape}"
        )
    order = np.argsort(given, kind="stable")
    return given[order], hit[order]


def _error(given: NDArray[np.float64], hit: NDArray[np.float64], bins: int) -> float:
    """Return the mean gap between what was said and what was so, of rows in order of `given`."""
    import numpy as np

    starts = np.unique(np.linspace(0, len(given), min(bins, len(given)) + 1).astype(int)[:-1])
    return float(np.abs(np.add.reduceat(hit - given, starts)).sum()) / len(given)
