"""Arithmetic on grades 0..k-1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SPREADS = np.linspace(0.02, 0.98, 49)
_HALF = 0.5 - 1e-9


def median_grade(probs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the lowest grade that at least half of the probability lies at or below: int64[n].

    It has the least expected absolute error.

    Args:
        probs: float64[n, k].
    """
    return np.asarray((np.cumsum(probs, axis=1) >= _HALF).argmax(axis=1))


def vote_median(
    matrix: NDArray[np.integer], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lower and the upper of the middle votes of each row, int64[n]; 0 without votes.

    Args:
        matrix: int[n, m], -1 for abstain.
        classes: k.
    """
    counts = np.stack([(matrix == grade).sum(axis=1) for grade in range(classes)], axis=1)
    below, total = np.cumsum(counts, axis=1), counts.sum(axis=1, keepdims=True)
    low = (2 * below >= total).argmax(axis=1)
    high = (2 * below > total).argmax(axis=1)
    return low, high


def spread_of(joint: NDArray[np.float64]) -> float:
    """Return the factor by which votes thin out with each step from the class; the most likely one.

    The model is P(vote o | class y) in proportion to spread to the power of abs(o - y); the search
    is over a grid from 0.02 to 0.98 by 0.02.

    Args:
        joint: float64[k votes, k classes], how often each goes with each.
    """
    steps = np.arange(len(joint))
    away = np.abs(steps[:, None] - steps[None, :])
    logs = away[None] * np.log(_SPREADS)[:, None, None]
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return float(_SPREADS[(logs * joint).sum(axis=(1, 2)).argmax()])
