from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.label.votes import Votes


@dataclass(frozen=True)
class Drawn:
    """Votes drawn from a known model, with the classes behind them."""

    matrix: NDArray[np.int8]
    truth: NDArray[np.int64]

    @property
    def votes(self) -> Votes:
        return Votes.from_matrix(self.matrix, classes=int(self.truth.max()) + 1)


@pytest.fixture
def draw() -> Callable[..., Drawn]:
    """Draw independent sources: accuracies when voting, shares of rows voted on."""

    def make(
        rows: int,
        accuracies: list[float],
        voting: list[float],
        classes: int = 2,
        balance: list[float] | None = None,
        seed: int = 0,
    ) -> Drawn:
        rng = np.random.default_rng(seed)
        truth = rng.choice(classes, rows, p=balance)
        matrix = np.full((rows, len(accuracies)), -1, np.int8)
        for source, (accuracy, share) in enumerate(zip(accuracies, voting, strict=True)):
            other = (truth + rng.integers(1, classes, rows)) % classes
            said = np.where(rng.random(rows) < accuracy, truth, other)
            matrix[:, source] = np.where(rng.random(rows) < share, said, -1)
        return Drawn(matrix, truth)

    return make


@pytest.fixture
def six_by_six() -> NDArray[np.int64]:
    """Six sources on six rows: a row without votes, ties, unipolar and idle sources."""
    return np.array(
        [
            [-1, -1, 0, -1, -1, 0],
            [-1, -1, -1, 2, -1, -1],
            [2, -1, -1, -1, -1, 0],
            [1, -1, 2, -1, 0, 0],
            [-1, -1, -1, -1, -1, -1],
            [1, -1, 0, 2, 1, 0],
        ]
    )
