"""How often two sources vote on the same row, and agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Pairs:
    """Counts over pairs of m sources, float64[m, m], symmetric.

    Attributes:
        both: rows on which both voted; the diagonal counts the rows on which a source voted.
        agree: rows on which both voted for the same class.
        rows: how many rows there are.
    """

    both: NDArray[np.float64]
    agree: NDArray[np.float64]
    rows: float

    @property
    def either(self) -> NDArray[np.float64]:
        """Rows on which at least one of the two voted."""
        voted = np.diag(self.both)
        return voted[:, None] + voted[None, :] - self.both

    @property
    def identity(self) -> NDArray[np.float64]:
        """Share of the rows where either voted on which both said the same; 0 where none voted."""
        return np.divide(
            self.agree, self.either, out=np.zeros_like(self.agree), where=self.either > 0
        )

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of the rows where both voted on which they agree; NaN where they never met."""
        met = self.both > 0
        return np.divide(self.agree, self.both, out=np.full_like(self.agree, np.nan), where=met)


def count_pairs(
    matrix: NDArray[np.integer], classes: int, counts: NDArray[np.float64] | None = None
) -> Pairs:
    """Count meetings and agreements of all pairs of sources.

    Args:
        matrix: int[p, m], votes, -1 for abstain.
        classes: k.
        counts: float64[p], how often each row of the matrix stands for a row of the data.
    """
    rows, sources = matrix.shape
    both, agree = np.zeros((2, sources, sources))
    for start in range(0, rows, _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS]
        weight = None if counts is None else counts[start : start + _BLOCK_ROWS, None]
        both += _gram(block >= 0, weight)
        for label in range(classes):
            if (said := block == label).any():
                agree += _gram(said, weight)
    return Pairs(both, agree, float(rows if counts is None else counts.sum()))


def _gram(said: NDArray[np.bool_], weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
    cells = said.astype(np.float64)
    product: NDArray[np.float64] = cells.T @ (cells if weight is None else cells * weight)
    return product
