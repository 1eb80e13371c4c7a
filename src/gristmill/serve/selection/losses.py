"""How far an answer is from the truth: a loss in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from gristmill.serve.selection.policy import check_positive

Said: TypeAlias = str | float | int | bool
"""What a model answered, or what was true: a class name or a number."""

Loss: TypeAlias = Callable[[Said, Said], float]
"""Maps (what was answered, what is true) to a loss in [0, 1]."""


def zero_one(said: Said, truth: Said) -> float:
    """Return 0 where the answer is the truth, else 1; a number and its text differ."""
    return 0.0 if said == truth else 1.0


def absolute(scale: float) -> Loss:
    """Return a loss of numbers: |answer - truth| / scale, at most 1; 1 for what is no number.

    Raises:
        UsageError: the scale is not above 0.
    """
    check_positive("scale", scale)

    def loss(said: Said, truth: Said) -> float:
        if isinstance(said, str) or isinstance(truth, str):
            return 1.0
        gap = abs(float(said) - float(truth)) / scale
        return 1.0 if math.isnan(gap) else min(1.0, gap)

    return loss
