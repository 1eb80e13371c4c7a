"""What class each row is taken to have, where the analysis needs one."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.labels import winners
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes


class Classifies(Protocol):
    """What the analysis needs of a label model."""

    def predict_proba(self, votes: Votes, /) -> NDArray[np.float64]:
        """Return P(class | votes), float64[n, k]."""


def model_probs(model: Classifies, votes: Votes) -> NDArray[np.float64]:
    """Return a model's probabilities on these votes, float64[n, k].

    Raises:
        LabelError: they are not one per row and class.
    """
    probs = np.asarray(model.predict_proba(votes))
    if probs.shape != (len(votes), len(votes.classes)):
        raise LabelError(
            f"expected probabilities of shape {(len(votes), len(votes.classes))} from the model, "
            f"found {probs.shape}"
        )
    return probs


Judge: TypeAlias = Literal["model", "gold", "majority vote"]
"""Whose word on the class of rows counts: the model's where there is one, else gold's where there
is any, else the majority's."""


def believed(
    votes: Votes, truth: NDArray[np.int64], probs: NDArray[np.float64] | None, judge: Judge
) -> NDArray[np.int64]:
    """Return the class that each row is taken to have, int64[n], -1 where unknown."""
    if judge == "model" and probs is not None:
        return np.where(votes.covered, winners(probs), -1)
    if judge == "gold":
        return truth
    return winners(MajorityVote(votes.classes).predict_proba(votes))
