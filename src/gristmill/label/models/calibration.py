"""How far the probabilities of weak labels can be believed, measured on gold rows held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SEARCH_STEPS = 60
_LONGEST = 3.0
_BELIEVED_ROWS = 10.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What gold rows say of the model's probabilities.

    Attributes:
        temperature: log-probabilities are divided by it; above 1 the model was too sure.
        trust: accuracy above chance on gold rows held out, 0 to 1; scales the weights of weak rows.
        rows: gold rows it was measured on.
    """

    temperature: float = 1.0
    trust: float = 1.0
    rows: int = 0


def calibrate(held_out: NDArray[np.float64], truth: NDArray[np.int64]) -> Calibration:
    """Fit the temperature (Guo et al. 2017, section 4.2) and measure the trust.

    Both lean on the model where gold rows are few: log T has a standard normal prior, and the
    accuracy counts ten further rows that are right as often as the model believes.

    Args:
        held_out: float64[n, k], probabilities of gold rows that the model did not see as gold.
        truth: int64[n], their gold classes.
    """
    rows, classes = held_out.shape
    if rows == 0:
        return Calibration()
    logs = np.log(np.clip(held_out, 1e-12, None))
    temperature = float(np.exp(_lowest(lambda log_t: _loss(logs, truth, log_t))))
    believed = heated(held_out, temperature).max(axis=1).mean()
    winners = np.isclose(held_out, held_out.max(axis=1, keepdims=True))
    right = (winners[np.arange(rows), truth] / winners.sum(axis=1)).sum()
    accuracy = (right + _BELIEVED_ROWS * believed) / (rows + _BELIEVED_ROWS)
    return Calibration(temperature, above_chance(accuracy, classes), rows)


def heated(probs: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return probabilities, float64[n, k], with their logarithms divided by a temperature."""
    logs = np.log(np.clip(probs, 1e-300, None)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def above_chance(probability: float, classes: int) -> float:
    """Return (k p - 1) / (k - 1), at least 0: nothing for a guess, 1 for certainty."""
    return max(0.0, (classes * float(probability) - 1) / (classes - 1))


def _loss(logs: NDArray[np.float64], truth: NDArray[np.int64], log_t: float) -> float:
    scaled = logs / np.exp(log_t)
    highest = scaled.max(axis=1)
    total = highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
    return float((total - scaled[np.arange(len(truth)), truth]).sum() + log_t**2 / 2)


def _lowest(function: Callable[[float], float]) -> float:
    """Return where a function of one valley is lowest within [-3, 3] (golden section)."""
    ratio = (5**0.5 - 1) / 2
    low, high = -_LONGEST, _LONGEST
    for _ in range(_SEARCH_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if function(left) <= function(right):
            high = right
        else:
            low = left
    return (low + high) / 2
