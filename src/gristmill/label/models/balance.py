"""The class balance that a label model starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError

Prior: TypeAlias = Sequence[float] | Literal["gold", "uniform", "estimated"]
"""k probabilities; or "gold": from gold (Laplace-smoothed), uniform where there is none; or
"uniform"; or "estimated": from the votes, where the model can."""


def check_prior(prior: Prior, classes: int, named: Sequence[str]) -> list[float] | str:
    """Return a prior as plain data.

    Args:
        prior: k probabilities, or one of the names.
        classes: k.
        named: the names that the model understands.

    Raises:
        LabelError: another name, or not k probabilities above 0 that sum to 1.
    """
    if isinstance(prior, str):
        if prior not in named:
            raise LabelError(
                f"expected a prior out of {', '.join(named)}, or {classes} probabilities, "
                f"found {prior!r}"
            )
        return prior
    values = np.asarray(prior, np.float64)
    if values.shape != (classes,) or not (values > 0).all() or abs(values.sum() - 1) > 1e-6:
        raise LabelError(
            f"expected a prior of {classes} probabilities above 0 that sum to 1, "
            f"found {list(prior)}"
        )
    return [float(value) for value in values]


def balance_of(
    prior: list[float] | str, gold: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Return P(class), float64[k], before the votes are seen; gold is int64[n], -1 unknown.

    Every class counts once more than it occurs in gold, so that one that gold lacks stays possible.
    """
    if not isinstance(prior, str):
        return np.array(prior)
    counts = np.ones(classes)
    if prior != "uniform":
        counts += np.bincount(gold[gold >= 0], minlength=classes)
    return np.asarray(counts / counts.sum())
