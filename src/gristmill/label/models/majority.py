"""Majority vote: every source counts the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.codes import check_classes, describe_classes
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.labels import Labels, build_labels
from gristmill.label.votes import Votes, require_votes

_BLOCK_ROWS = 16_384


class MajorityVote:
    """The class with most votes; the baseline that a label model has to beat.

    Among tied classes the probability is shared evenly, which makes any score on it the
    expected score under random tie-breaking, and the label is -1 unless there is a default.

    Args:
        classes: class names, or how many.
        default: class (index or name) for rows that tie or that nobody voted on; default none.

    Raises:
        LabelError: fewer than two classes, or a default outside them.
    """

    def __init__(self, classes: Sequence[str] | int, *, default: int | str | None = None) -> None:
        self.classes = check_classes(classes)
        self.default = self._index(default)

    def __fingerprint__(self) -> str:
        return fingerprint(["majority vote", self.classes, self.default])

    def predict_proba(self, votes: Votes) -> NDArray[np.float64]:
        """Return float64[n, k]: 1 for the winner, shared among winners that tie, uniform where
        nobody voted; where there is a default, it wins ties and rows without votes.

        Memory beyond the result does not grow with the rows.

        Raises:
            LabelError: the votes have other classes.
        """
        self._check_classes(votes)
        matrix, classes = votes.matrix, len(self.classes)
        probs = np.empty((len(matrix), classes))
        for start in range(0, len(matrix), _BLOCK_ROWS):
            counts = count_votes(matrix[start : start + _BLOCK_ROWS], classes)
            self._share(counts == counts.max(axis=0), probs[start : start + _BLOCK_ROWS])
        return probs

    def predict(self, votes: Votes, gold: Gold | None = None) -> Labels:
        """Return labels; rows with gold keep it.

        Raises:
            LabelError: the votes have other classes, or gold does not fit.
        """
        self._check_classes(votes)
        known = votes.covered if self.default is None else np.ones(len(votes), bool)
        return build_labels(
            votes,
            self.predict_proba(votes),
            known,
            gold_codes(gold, votes),
            method="majority vote",
            model=fingerprint(self),
        )

    def _share(self, winning: NDArray[np.bool_], probs: NDArray[np.float64]) -> None:
        """Write float64[b, k] probabilities, shared among the winners of bool[k, b]."""
        winners = winning.sum(axis=0)
        np.multiply(winning.T, (1 / winners)[:, None], out=probs)
        if self.default is not None:
            probs[winners > 1] = np.arange(len(self.classes)) == self.default

    def _check_classes(self, votes: Votes) -> None:
        require_votes(votes)
        if votes.classes != self.classes:
            raise LabelError(
                f"votes have classes {list(votes.classes)}, expected {list(self.classes)}"
            )

    def _index(self, default: int | str | None) -> int | None:
        if default is None:
            return None
        index = self.classes.index(default) if default in self.classes else default
        if not isinstance(index, int) or not 0 <= index < len(self.classes):
            raise LabelError(
                f"default class {default!r} is none of {describe_classes(self.classes)}"
            )
        return index


def count_votes(matrix: NDArray[np.integer], classes: int) -> NDArray[np.unsignedinteger]:
    """Return how many sources voted for each class: unsigned [k, n], from int[n, m] votes.

    A class at a time, so that every step runs along whole columns.
    """
    counts = np.zeros((classes, len(matrix)), np.min_scalar_type(matrix.shape[1]))
    for column in matrix.T:
        for label in range(classes):
            counts[label] += column == label
    return counts
