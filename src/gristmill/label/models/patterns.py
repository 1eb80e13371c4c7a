"""The distinct patterns of votes, which is all that a label model needs to see.

Legend: n rows, m sources, k classes, p distinct patterns, f features. A feature is a pair (source,
class it votes for) that occurs; the cells of the features are the votes of the patterns, so that
work on them is O(votes) and never O(n m k).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_MOST_CELLS = 2**24
"""Cells of the table of patterns by features that are worth 128 MiB, for being multiplied with."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Where one source votes for one class.

    Attributes:
        source: 0..m-1.
        label: 0..k-1.
        patterns: int64, the patterns that have this vote, ascending.
    """

    source: int
    label: int
    patterns: NDArray[np.int64]


@dataclass(frozen=True)
class Patterns:
    """Distinct rows of a matrix of votes, in an order that does not depend on that of the rows.

    Attributes:
        votes: int[p, m].
        of_row: int64[n], the pattern of each row.
        classes: k.
        features: all features, by source and then label.
    """

    votes: NDArray[np.integer]
    of_row: NDArray[np.int64]
    classes: int
    features: tuple[Feature, ...]

    @classmethod
    def of(cls, matrix: NDArray[np.integer], classes: int) -> Patterns:
        """Find the patterns of int[n, m] votes."""
        first, of_row = _distinct(matrix)
        votes = np.asfortranarray(matrix[first])
        return cls(votes, of_row, classes, tuple(_features(votes)))

    @property
    def sources(self) -> int:
        """How many sources there are: m."""
        return int(self.votes.shape[1])

    def labels_of(self, source: int) -> list[int]:
        """Return the classes that a source votes for, ascending."""
        return [feature.label for feature in self.features if feature.source == source]

    def __len__(self) -> int:
        return len(self.votes)

    def count(self, rows: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Count the rows of each pattern: float64[p]; only those chosen by bool[n] if given."""
        chosen = self.of_row if rows is None else self.of_row[rows]
        return np.bincount(chosen, minlength=len(self)).astype(np.float64)

    def count_by_class(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Count rows by pattern and class: float64[p, k]; int64[n] labels, -1 unknown."""
        known = labels >= 0
        cells = self.of_row[known] * self.classes + labels[known]
        counts = np.bincount(cells, minlength=len(self) * self.classes)
        return counts.reshape(len(self), self.classes).astype(np.float64)

    def tally(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum weights by what each source said.

        Args:
            weights: float64[p, k].

        Returns:
            float64[m, k + 1, k]: for source, vote (the last one is abstain) and column of weights.
        """
        table = np.zeros((self.sources, self.classes + 1, self.classes))
        if self._design is not None:
            table[self._places] = self._design.T @ weights
        else:
            for feature in self.features:
                table[feature.source, feature.label] = weights[feature.patterns].sum(axis=0)
        table[:, -1] = weights.sum(axis=0) - table[:, :-1].sum(axis=1)
        # The subtraction may leave a rounding error where a source never abstains.
        np.maximum(table[:, -1], 0.0, out=table[:, -1])
        return table

    def add_up(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum, for each pattern, the rows of float64[m, k + 1, k] that its votes pick: [p, k].

        An abstaining source adds `table[source, k]`.
        """
        silent = table[:, -1].sum(axis=0)
        if self._design is not None:
            lifts = table[self._places] - table[self._places[0], -1]
            return np.asarray(self._design @ lifts + silent)
        total = np.tile(silent, (len(self), 1))
        for feature in self.features:
            total[feature.patterns] += (
                table[feature.source, feature.label] - table[feature.source, -1]
            )
        return total

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Source and label of each feature, int64[f] both."""
        sources = np.array([feature.source for feature in self.features], np.int64)
        labels = np.array([feature.label for feature in self.features], np.int64)
        return sources, labels

    @cached_property
    def _design(self) -> NDArray[np.float64] | None:
        """Which pattern has which feature, float64[p, f] of 0 and 1; None where it is too large."""
        if len(self) * len(self.features) > _MOST_CELLS:
            return None
        design = np.zeros((len(self), len(self.features)))
        for column, feature in enumerate(self.features):
            design[feature.patterns, column] = 1.0
        return design


def _distinct(matrix: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a row of each distinct kind, and the kind of each row."""
    packed = np.ascontiguousarray(matrix)
    raw = packed.view(np.dtype((np.void, packed.dtype.itemsize * packed.shape[1]))).ravel()
    _, first, of_row = np.unique(raw, return_index=True, return_inverse=True)
    return first, of_row.ravel()


def _features(votes: NDArray[np.integer]) -> Iterator[Feature]:
    for source in range(votes.shape[1]):
        column = votes[:, source]
        for label in np.unique(column[column >= 0]):
            yield Feature(source, int(label), np.flatnonzero(column == label))
