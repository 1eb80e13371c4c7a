"""Answers of classes, made of probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.serve.runners.rows import Column, Rows


class ClassRows(Rows):
    """The answers `label`, `prob` and `probs`; labels are spelled out when somebody looks at them.

    A table of answers takes them by number, which is ten times as fast.

    Args:
        classes: their names.
        probs: float64[n, classes]. Equal ones go to the class named first.

    Attributes:
        classes: their names.
        best: int64[n], the number of each row's class.
        numbers: the columns that hold numbers, `prob` float64[n] and `probs`.
    """

    __slots__ = ("_columns", "best", "classes", "numbers")

    def __init__(self, classes: Sequence[str], probs: NDArray[np.float64]) -> None:
        self.classes, self.best = classes, probs.argmax(axis=1)
        prob = probs[np.arange(len(probs)), self.best]
        self.numbers: dict[str, NDArray[np.float64]] = {"prob": prob, "probs": probs}
        self._columns: dict[str, Column] | None = None
        self.count, self.finite = len(probs), False

    @property
    def columns(self) -> dict[str, Column]:  # type: ignore[override]
        """The columns, `label` first."""
        if self._columns is None:
            labels = list(map(self.classes.__getitem__, self.best.tolist()))
            self._columns = {"label": labels, **self.numbers}
        return self._columns
