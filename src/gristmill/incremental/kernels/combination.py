"""Sums of rows with factors: a matrix with many zeros, times blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ZERO = 1e-12


class Combination:
    """Applies one matrix to block after block of rows; zeros of the matrix cost nothing.

    A row's sum is added up in the order of the matrix, whatever is computed beside it.

    Args:
        matrix: [rows of a result, rows of a block].

    Attributes:
        sources: int64 [terms], rows of a block, those of one result after those of another.
        factors: float32 [terms].
    """

    def __init__(self, matrix: NDArray[np.floating[Any]]) -> None:
        results, sources = np.nonzero(np.abs(matrix) > _ZERO)
        self.sources = torch.from_numpy(sources)
        self.factors = torch.from_numpy(matrix[results, sources]).float()
        self._block = matrix.shape[1]
        self._begins = torch.from_numpy(np.searchsorted(results, np.arange(len(matrix))))
        self._constant = self._repeated(1)

    def __call__(self, rows: Tensor) -> Tensor:
        """Combine blocks that lie one behind the other.

        Args:
            rows: float32 [blocks * rows of a block, channels].
        """
        indices, factors, begins = self._of_blocks(len(rows) // self._block)
        return torch.embedding_bag(rows, indices, begins, False, 0, False, factors)[0]

    def of(self, rows: Tensor, indices: Tensor, factors: Tensor) -> Tensor:
        """Combine rows from anywhere.

        Args:
            rows: float32 [rows, channels].
            indices: int32 [blocks * terms], where each of `sources` lies.
            factors: float32 [blocks * terms].
        """
        _, _, begins = self._of_blocks(len(indices) // len(self.sources))
        return torch.embedding_bag(rows, indices, begins, False, 0, False, factors)[0]

    def _of_blocks(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        constant = self._constant
        terms, results = len(self.sources), len(self._begins)
        if len(constant[2]) < count * results:
            constant = self._constant = self._repeated(1 << (count - 1).bit_length())
        indices, factors, begins = constant
        return indices[: count * terms], factors[: count * terms], begins[: count * results]

    def _repeated(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        blocks = torch.arange(count)[:, None]
        return (
            (self.sources + self._block * blocks).flatten().int(),
            self.factors.repeat(count),
            (self._begins + len(self.sources) * blocks).flatten().int(),
        )
