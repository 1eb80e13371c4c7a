"""Figures of a model on validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.metrics import score_binary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIGURES = ("precision", "recall", "f1", "accuracy")


def score(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int, positive: int | None
) -> dict[str, float]:
    """Return precision, recall, F1 and accuracy.

    Args:
        truth: int64[n], classes 0..k-1.
        predicted: int64[n].
        classes: k.
        positive: the class that precision, recall and F1 are about. None means class 1 of two, and
            the plain mean over classes ("macro") where there are more.
    """
    if positive is None and classes == 2:
        positive = 1
    about = range(classes) if positive is None else [positive]
    scores = [score_binary(truth, predicted, each).as_dict() for each in about]
    return {name: sum(each[name] for each in scores) / len(scores) for name in FIGURES}
