"""How often answers come together: counts over pairs of (source, class it votes for).

Legend: n rows, m sources, k classes, f features: the pairs of a source and a class it votes for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_BLOCK_ROWS = 8_192
_PAIRS_AT_ONCE = 1 << 21
_FLOPS_PER_PAIR = 500
"""Multiplications done in the time of one pair listed by itself."""


@dataclass(frozen=True)
class Together:
    """Counts of features that come together on a row; the rest of all m k pairs never occur.

    Attributes:
        source: int64[f], of each feature, ascending.
        label: int64[f], of each feature, ascending within a source.
        counts: float64[f, f], rows on which both occur; on the diagonal, rows with the feature.
        rows: n.
        sources: m.
        classes: k.
    """

    source: NDArray[np.int64]
    label: NDArray[np.int64]
    counts: Floats
    rows: int
    sources: int
    classes: int

    def dense(self) -> Floats:
        """Return the counts over all pairs of source and class: float64[m k, m k]."""
        place = self.source * self.classes + self.label
        full = np.zeros((self.sources * self.classes,) * 2)
        full[np.ix_(place, place)] = self.counts
        return full


def count_together(matrix: NDArray[np.integer], classes: int) -> Together:
    """Count, in exact integers and block by block, which votes come together.

    Memory is O(f^2) beyond the votes; time the smaller of O(n f^2), by matrix products, and
    O(votes x votes per row).

    Args:
        matrix: int[n, m] votes.
        classes: k.
    """
    rows, sources = matrix.shape
    voted = [np.bincount(column + 1, minlength=classes + 1)[1:] > 0 for column in matrix.T]
    source, label = np.nonzero(np.array(voted).reshape(sources, classes))
    place = np.full((sources, classes + 1), -1)
    place[source, label] = np.arange(len(source))
    counts = np.zeros((len(source), len(source)))
    for start in range(0, rows, _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS]
        counts += _count_block(block, source, label, place)
    return Together(source, label, counts, rows, sources, classes)


def _count_block(
    block: NDArray[np.integer],
    source: NDArray[np.int64],
    label: NDArray[np.int64],
    place: NDArray[np.int64],
) -> Floats:
    per_row = (block >= 0).sum(axis=1, dtype=np.int64)
    pairs = int(per_row @ per_row) * _FLOPS_PER_PAIR + len(source) ** 2
    if pairs < len(block) * len(source) ** 2:
        return _listed(block, per_row, place, len(source))
    return _multiplied(block, source, label)


def _multiplied(
    block: NDArray[np.integer], source: NDArray[np.int64], label: NDArray[np.int64]
) -> Floats:
    """Count by the product of the features' indicators; float32 is exact up to 2^24 rows."""
    said = np.empty((len(source), len(block)), np.float32)
    for feature, (column, answer) in enumerate(zip(source, label, strict=True)):
        np.equal(block[:, column], answer, out=said[feature], casting="unsafe")
    return (said @ said.T).astype(np.float64)


def _listed(
    block: NDArray[np.integer], per_row: NDArray[np.int64], place: NDArray[np.int64], size: int
) -> Floats:
    """Count by listing the pairs of votes of each row."""
    row, column = np.nonzero(block >= 0)
    feature = place[column, block[row, column]]
    counts = np.zeros(size * size)
    partners, first = per_row[row], (np.cumsum(per_row) - per_row)[row]
    ends = np.cumsum(partners)
    start = 0
    while start < len(feature):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, "right")))
        some = partners[start:stop]
        step = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        other = feature[np.repeat(first[start:stop], some) + step]
        pairs = np.repeat(feature[start:stop] * size, some) + other
        counts += np.bincount(pairs, minlength=size * size)
        start = stop
    return counts.reshape(size, size)
