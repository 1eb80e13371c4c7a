"""What a label model remembers of votes: bounded, whatever their number, and mergeable.

Legend: n rows, m sources, k classes, p distinct patterns, s sampled rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.label.matrices import MULTIPLIER, hash_rows
from gristmill.label.models.patterns import Patterns
from gristmill.label.vote_parts import VotePart
from gristmill.label.votes import Votes

_MOST_ROWS = 65_536
_FEWEST_ROWS = 8_192
_CELLS = 2**24
_BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class VoteSample:
    """The distinct patterns of votes with their counts, and a random sample of the rows.

    While the patterns are few (at most `cap`) their counts say all that there is to know of the
    rows, and a fit on them is exact. Beyond that they are dropped and the sample stands in: the
    rows whose ids have the smallest hashes (a bottom-k sketch; Cohen & Kaplan 2007). Both depend on
    the set of rows alone, so parts merge to what all rows at once would have given, in any order.

    Two patterns are told apart by 64 bits; among a million, two are mistaken for one with a
    probability below one in ten million.

    Attributes:
        classes: k.
        rows: n.
        patterns: int[p, m], or None where there are more than `cap`.
        counts: int64[p], rows of each pattern.
        sampled: int[s, m], votes of the sampled rows; s is at most `cap`.
        keys: uint64[s], hashes of their row ids, ascending.
    """

    classes: int
    rows: int
    patterns: NDArray[np.integer] | None
    counts: NDArray[np.int64]
    sampled: NDArray[np.integer]
    keys: NDArray[np.uint64]

    @classmethod
    def of(cls, votes: Votes) -> Self:
        """Remember votes."""
        classes, matrix = len(votes.classes), votes.matrix
        most = cap(matrix.shape[1], classes)
        keys = hash_ids(votes.row_ids)
        chosen = _smallest(keys, most)
        patterns, counts = _count_blocks(matrix, most)
        return cls(classes, len(matrix), patterns, counts, matrix[chosen], keys[chosen])

    @classmethod
    def of_part(cls, part: VotePart) -> Self:
        """Remember the votes on one partition, read here."""
        return cls.of(part.read())

    @property
    def sources(self) -> int:
        """How many sources there are: m."""
        return int(self.sampled.shape[1])

    @property
    def exact(self) -> bool:
        """Whether the patterns of all rows are known."""
        return self.patterns is not None

    def merge(self, other: VoteSample) -> VoteSample:
        """Return what is remembered of the rows of both."""
        most = cap(self.sources, self.classes)
        sampled = np.concatenate([self.sampled, other.sampled])
        keys = np.concatenate([self.keys, other.keys])
        chosen = _smallest(keys, most)
        patterns, counts = _join((self.patterns, self.counts), (other.patterns, other.counts), most)
        rows = self.rows + other.rows
        return VoteSample(self.classes, rows, patterns, counts, sampled[chosen], keys[chosen])

    def weighted(self) -> tuple[Patterns, NDArray[np.float64]]:
        """Return the patterns to fit on, and how many rows each stands for, float64[p]."""
        if self.patterns is not None:
            patterns = Patterns.of(self.patterns, self.classes)
            rows = np.zeros(len(patterns))
            rows[patterns.of_row] = self.counts
            return patterns, rows
        patterns = Patterns.of(self.sampled, self.classes)
        return patterns, patterns.count() * (self.rows / len(self.sampled))


def cap(sources: int, classes: int) -> int:
    """Return how many rows or patterns are kept: fewer where there are many sources and classes."""
    return int(np.clip(_CELLS // (sources * classes), _FEWEST_ROWS, _MOST_ROWS))


def hash_ids(row_ids: pl.Series) -> NDArray[np.uint64]:
    """Return a hash of each row id, uint64[n], that looks random (splitmix64 for integers)."""
    if not row_ids.dtype.is_integer():
        return row_ids.hash(0).to_numpy()
    mixed = row_ids.cast(pl.Int64).to_numpy().astype(np.uint64) + MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


_Counted = tuple[NDArray[np.integer] | None, NDArray[np.int64]]


def _count_blocks(matrix: NDArray[np.integer], most: int) -> _Counted:
    found: _Counted = (matrix[:0], np.empty(0, np.int64))
    for start in range(0, len(matrix), _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS]
        found = _join(found, (block, np.ones(len(block), np.int64)), most)
        if found[0] is None:
            break
    return found


def _join(left: _Counted, right: _Counted, most: int) -> _Counted:
    """Return the distinct rows of both with their counts, or None where there are too many."""
    if left[0] is None or right[0] is None:
        return None, np.empty(0, np.int64)
    rows = np.concatenate([left[0], right[0]])
    _, first, which = np.unique(hash_rows(rows), return_index=True, return_inverse=True)
    if len(first) > most:
        return None, np.empty(0, np.int64)
    counts = np.zeros(len(first), np.int64)
    np.add.at(counts, which.ravel(), np.concatenate([left[1], right[1]]))
    return rows[first], counts


def _smallest(keys: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
    """Return the positions of the smallest keys, ascending by key."""
    if len(keys) > most:
        nearest = np.argpartition(keys, most)[:most]
        return np.asarray(nearest[np.argsort(keys[nearest], kind="stable")])
    return np.argsort(keys, kind="stable")
