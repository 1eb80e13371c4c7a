from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gristmill.incremental.changes.noise import Noise


def changed_slowly(frame: np.ndarray, reference: np.ndarray, tile: int, noise: Noise) -> np.ndarray:
    """The rule, word for word: pixel after pixel, tile after tile."""
    height, width, _ = frame.shape
    strong = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            rows = np.clip(range(y - noise.margin, y + noise.margin + 1), 0, height - 1)
            columns = np.clip(range(x - noise.margin, x + noise.margin + 1), 0, width - 1)
            square = np.ix_(rows, columns)
            mean = (frame[square].astype(int) - reference[square]).mean(axis=(0, 1))
            strong[y, x] = (np.abs(mean) > noise.threshold).any()
    tops, lefts = range(0, height, tile), range(0, width, tile)
    counts = [[strong[y : y + tile, x : x + tile].sum() for x in lefts] for y in tops]
    return np.array(counts) >= noise.pixels


@pytest.fixture
def slow_rule() -> Callable[..., np.ndarray]:
    return changed_slowly


def altered(frame: np.ndarray, draws: np.random.Generator, most: int) -> np.ndarray:
    """The frame with small noise all over and, in some places, squares lighter or darker."""
    height, width, _ = frame.shape
    new = frame.astype(int) + draws.integers(-3, 4, frame.shape)
    for _ in range(draws.integers(0, 5)):
        side = draws.integers(1, 12)
        y, x = draws.integers(0, height), draws.integers(0, width)
        new[y : y + side, x : x + side, draws.integers(0, 3) :] += draws.integers(-most, most + 1)
    return np.clip(new, 0, 255).astype(np.uint8)


@pytest.fixture
def alter() -> Callable[..., np.ndarray]:
    return altered
