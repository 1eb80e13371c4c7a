"""Figures of merit of a classifier on rows with known classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gristmill.core.errors import DataError
from gristmill.core.intervals import Interval, bootstrap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """Precision, recall and F1 of one class against all others, and accuracy over all classes.

    A figure whose denominator is zero is 0, as is usual (no positive predicted, or none there).
    """

    precision: float
    recall: float
    f1: float
    accuracy: float
    rows: int

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def score_binary(truth: ArrayLike, predicted: ArrayLike, positive: int = 1) -> BinaryScores:
    """Score predicted classes against true ones.

    Args:
        truth: int[n], classes 0..k-1.
        predicted: int[n]; -1 (no answer) counts as wrong.
        positive: the class that precision, recall and F1 are about.

    Raises:
        DataError: the two are not of equal length, or empty.
    """
    import numpy as np

    true, guess = np.asarray(truth), np.asarray(predicted)
    if true.shape != guess.shape or true.size == 0:
        raise DataError(
            f"expected two equally long, non-empty columns, found {true.shape} and {guess.shape}"
        )
    return _score(true, guess, positive)


def _score(true: NDArray[np.int64], guess: NDArray[np.int64], positive: int) -> BinaryScores:
    hits = int(((true == positive) & (guess == positive)).sum())
    said, there = int((guess == positive).sum()), int((true == positive).sum())
    return BinaryScores(
        precision=hits / said if said else 0.0,
        recall=hits / there if there else 0.0,
        f1=2 * hits / (said + there) if said + there else 0.0,
        accuracy=float((true == guess).mean()),
        rows=len(true),
    )


def score_intervals(
    truth: ArrayLike,
    predicted: ArrayLike,
    positive: int = 1,
    *,
    metrics: Sequence[str] = ("precision", "recall", "f1"),
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return bootstrap intervals (95 %) of the named `BinaryScores` figures."""
    import numpy as np

    true, guess = np.asarray(truth), np.asarray(predicted)
    score_binary(true, guess, positive)

    def figure(name: str) -> Interval:
        def on(rows: NDArray[np.int64]) -> float:
            return float(getattr(_score(true[rows], guess[rows], positive), name))

        return bootstrap(on, len(true), draws=draws, seed=seed)

    return {name: figure(name) for name in metrics}


def difference_interval(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    positive: int = 1,
    *,
    metric: str = "f1",
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the paired bootstrap interval of `metric(first) - metric(second)` on the same rows.

    Pairing by row (Koehn 2004) is what lets two close models be told apart on a small test set.
    """
    import numpy as np

    true, one, two = np.asarray(truth), np.asarray(first), np.asarray(second)
    score_binary(true, one, positive)
    score_binary(true, two, positive)

    def gain(rows: NDArray[np.int64]) -> float:
        ahead = getattr(_score(true[rows], one[rows], positive), metric)
        behind = getattr(_score(true[rows], two[rows], positive), metric)
        return float(ahead - behind)

    return bootstrap(gain, len(true), draws=draws, seed=seed)
