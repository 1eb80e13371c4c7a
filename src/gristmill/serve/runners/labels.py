"""Answers of classes, made of probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.serve.runners.rows import Rows


def class_rows(classes: Sequence[str], probs: NDArray[np.float64]) -> Rows:
    """Return the answers `label`, `prob` and `probs` for probabilities float64[n, classes].

    Equal probabilities go to the class named first.
    """
    best = probs.argmax(axis=1)
    labels = list(map(classes.__getitem__, best.tolist()))
    prob = probs[np.arange(len(probs)), best]
    return Rows({"label": labels, "prob": prob, "probs": probs}, len(probs))
