"""Weighted vote: sources count by how often they are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.additive import Floats, Learned, OneFitModel, Options
from gristmill.label.models.majority import count_votes
from gristmill.label.votes import Votes

_BLOCK_ROWS = 16_384
_PSEUDO_ROWS = 10.0


class WeightedVote(OneFitModel):
    """Each vote adds the log-odds of its source's accuracy to the class it names.

    The accuracy of a source is how often it agrees with the majority, its own vote included (among
    t tied classes, agreement counts 1 / t). Gold, where there is any, corrects it. Each of the two
    counts beside ten rows of what was believed before: of `accuracy` without agreement, of the
    agreement without gold. A source that gold shows to be wrong more often than chance has a weight
    below 0 and speaks against its class.

    With accuracy a, a source's weight is log(a (k - 1) / (1 - a)): the optimal weights of
    independent sources whose errors are spread evenly (Nitzan & Paroush 1982, for two classes).
    Abstaining adds nothing; the class balance is uniform.

    Args:
        classes: class names, or how many; two or more.
        weights: weights to use as they are, by source name or in the order of the votes' sources;
            default: learned.
        accuracy: believed accuracy of a source; in (1 / k, 1).

    Raises:
        LabelError: an argument is outside its range.
    """

    method = "weighted vote"

    def __init__(
        self,
        classes: Sequence[str] | int,
        *,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        accuracy: float = 0.7,
    ) -> None:
        super().__init__(classes)
        self.weights = _check_weights(weights)
        self.accuracy = check_accuracy(accuracy, len(self.classes))

    @property
    def source_weights(self) -> dict[str, float]:
        """The weight of each source.

        Raises:
            LabelError: the model is not fitted.
        """
        weights = self.fitted.table[:, 0, 0]
        return dict(zip(self.fitted.names, weights.tolist(), strict=True))

    def _learn(self, votes: Votes, gold: NDArray[np.int64]) -> Learned:
        classes = len(self.classes)
        if self.weights is None:
            accuracies = _measured(votes.matrix, gold, self._agreement(votes))
            weights = np.log(accuracies * (classes - 1) / (1 - accuracies))
        else:
            weights = _given(self.weights, votes.names)
        table = np.zeros((len(weights), classes + 1, classes))
        table[:, range(classes), range(classes)] = weights[:, None]
        return Learned(np.full(classes, -np.log(classes)), table)

    def _agreement(self, votes: Votes) -> Floats:
        agreed = agreement(votes.matrix, len(self.classes)) + _PSEUDO_ROWS * self.accuracy
        return np.asarray(agreed / ((votes.matrix >= 0).sum(axis=0) + _PSEUDO_ROWS))

    def _options(self) -> Options:
        return {"weights": self.weights, "accuracy": self.accuracy}


def check_accuracy(accuracy: float, classes: int) -> float:
    """Return a believed accuracy.

    Raises:
        LabelError: it is not above chance and below 1.
    """
    if not 1 / classes < accuracy < 1:
        raise LabelError(f"expected accuracy between {1 / classes:g} and 1, found {accuracy}")
    return float(accuracy)


def agreement(matrix: NDArray[np.integer], classes: int) -> Floats:
    """Count the votes of each source that agree with the majority, float64[m].

    A vote for one of t tied classes counts 1 / t. Exact, whatever the order of rows.

    Args:
        matrix: int[n, m] votes.
        classes: k.
    """
    by_ties = np.zeros((matrix.shape[1], classes + 1), np.int64)
    for start in range(0, len(matrix), _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS]
        counts = count_votes(block, classes)
        winning = counts == counts.max(axis=0)
        ties = winning.sum(axis=0) * winning
        for source, column in enumerate(block.T):
            rows = np.flatnonzero(column >= 0)
            by_ties[source] += np.bincount(ties[column[rows], rows], minlength=classes + 1)
    return by_ties[:, 1:] @ (1 / np.arange(1, classes + 1))


def _measured(matrix: NDArray[np.integer], gold: NDArray[np.int64], believed: Floats) -> Floats:
    """Return accuracies, float64[m], measured on gold from where they are believed to be."""
    told = np.flatnonzero(gold >= 0)
    said = matrix[told]
    right = (said == gold[told, None]).sum(axis=0)
    return np.asarray((right + _PSEUDO_ROWS * believed) / ((said >= 0).sum(axis=0) + _PSEUDO_ROWS))


def _check_weights(
    weights: Mapping[str, float] | Sequence[float] | None,
) -> dict[str, float] | list[float] | None:
    if weights is None:
        return None
    values = list(weights.values() if isinstance(weights, Mapping) else weights)
    wrong = [value for value in values if not np.isfinite(value)]
    if wrong:
        raise LabelError(f"expected weights that are finite numbers, found {wrong[0]}")
    if isinstance(weights, Mapping):
        return {name: float(value) for name, value in weights.items()}
    return [float(value) for value in values]


def _given(weights: dict[str, float] | list[float], names: Sequence[str]) -> Floats:
    if isinstance(weights, list):
        if len(weights) != len(names):
            raise LabelError(f"expected a weight for each of {len(names)} sources, found "
                             f"{len(weights)}")  # fmt: skip
        return np.array(weights)
    if set(weights) != set(names):
        odd = sorted(set(weights) ^ set(names))
        raise LabelError(
            f"expected a weight for each of the sources {', '.join(names)}; "
            f"missing or unknown: {', '.join(odd)}"
        )
    return np.array([weights[name] for name in names])
