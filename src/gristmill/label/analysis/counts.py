"""What every source did, counted in one pass over the votes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gristmill.label.analysis.bitmaps import Block, blocks, once_twice, ones


@dataclass
class Counts:
    """Counts of rows over m sources and k classes.

    Attributes:
        said: int64[m, k], on which a source votes for a class.
        overlaps: int64[m], on which it and another vote.
        conflicts: int64[m], on which it votes and another for a different class.
        echoed: int64[m], on which it votes and another for the same class.
        covered, many, clash: on which any votes, two or more vote, two differ.
    """

    said: NDArray[np.int64]
    overlaps: NDArray[np.int64] = field(init=False)
    conflicts: NDArray[np.int64] = field(init=False)
    echoed: NDArray[np.int64] = field(init=False)
    covered: int = 0
    many: int = 0
    clash: int = 0

    def __post_init__(self) -> None:
        self.overlaps, self.conflicts, self.echoed = np.zeros((3, len(self.said)), np.int64)

    def __add__(self, other: Counts) -> Counts:
        total = Counts(self.said + other.said)
        for name in ("overlaps", "conflicts", "echoed", "covered", "many", "clash"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def add(self, block: Block) -> None:
        """Count the rows of a block as well."""
        voted = np.zeros((len(block.columns), block.words), np.uint64)
        covered, many, clash = np.zeros((3, block.words), np.uint64)
        for label, sources, cells in block.by_class(self.said.shape[1]):
            once, twice = once_twice(cells)
            self.said[sources, label] += ones(cells)
            self.echoed[sources] += ones(cells & twice)
            voted[sources] |= cells
            clash |= covered & once
            covered |= once
            many |= twice
        many |= clash
        self.overlaps += ones(voted & many)
        self.conflicts += ones(voted & clash)
        self.covered += int(ones(covered))
        self.many += int(ones(many))
        self.clash += int(ones(clash))


def count_votes(matrix: NDArray[np.integer], classes: int) -> Counts:
    """Count int[n, m] votes, -1 for abstain, on k classes."""
    counts = Counts(np.zeros((matrix.shape[1], classes), np.int64))
    for block in blocks(matrix):
        counts.add(block)
    return counts


def count_right(
    matrix: NDArray[np.integer], truth: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return votes that are right, and all votes, on rows whose class is known: int64[m] each.

    Args:
        matrix: int[n, m].
        truth: int64[n], -1 where unknown.
    """
    right, total = np.zeros((2, matrix.shape[1]), np.int64)
    rows = np.flatnonzero(truth >= 0)
    whole = len(rows) == len(truth)
    known = truth[rows].astype(matrix.dtype)
    for source in range(matrix.shape[1]):
        column = matrix[:, source] if whole else matrix[rows, source]
        right[source] = np.count_nonzero(column == known)
        total[source] = np.count_nonzero(column >= 0)
    return right, total


def clashing(matrix: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Say on which rows of int[n, m] votes two sources differ: bool[n]."""
    high = np.full(len(matrix), -1, matrix.dtype)
    # An abstention, -1, is the largest unsigned number, so it never is the least class voted for.
    low = high.astype(f"u{matrix.dtype.itemsize}")
    for column in matrix.T:
        np.maximum(high, column, out=high)
        np.minimum(low, column.astype(low.dtype), out=low)
    differs: NDArray[np.bool_] = low.view(matrix.dtype) != high
    return differs
