"""Answers beside the truth, in the form in which figures of quality are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gristmill.core.paired import CLASS_METRICS, NUMBER_METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gristmill.pipeline.monitoring.answered_rows import AnsweredRows


class IncomparableError(Exception):
    """Answers and truth cannot be held side by side; says why, for people."""


@dataclass(frozen=True)
class ClassTruths:
    """What a classifier answered, and what was so, of rows whose truth is known.

    Attributes:
        truth: int[n], class numbers; a class that the model does not know has a number of its own.
        said: int[n], class numbers.
        chance: float[n], the probability that the answer had; NaN where it had none.
        probs: by class number, float[n]; what is not known is NaN.
    """

    truth: NDArray[np.int64]
    said: NDArray[np.int64]
    chance: NDArray[np.float64]
    probs: dict[int, NDArray[np.float64]]

    @classmethod
    def of(cls, rows: AnsweredRows, classes: Sequence[str]) -> Self:
        """Take rows with truth, of a model with these classes.

        Raises:
            IncomparableError: the answers have no label.
        """
        if "label" not in rows.answers:
            raise IncomparableError("the kept answers have no label")
        numbers = {name: number for number, name in enumerate(classes)}

        def number(value: object) -> int:
            return numbers.setdefault(_spelled(value), len(numbers))

        truth = [number(value) for value in rows.truth]
        said = [number(value) for value in rows.answers["label"]]
        chance = _floats(rows.answers.get("prob", [None] * rows.rows))
        given = rows.answers.get("probs", [])
        probs = {
            at: _floats([each.get(name) if isinstance(each, dict) else None for each in given])
            for at, name in enumerate(classes)
            if given
        }
        return cls(np.array(truth, np.int64), np.array(said, np.int64), chance, probs)

    @property
    def right(self) -> NDArray[np.bool_]:
        """bool[n]: which answers were right."""
        return np.asarray(self.said == self.truth)

    def answers(self, metric: str, positive: int) -> NDArray[Any]:
        """Return what `core.paired.figure_of` wants for a metric.

        Raises:
            IncomparableError: it asks for probabilities, and they were not kept.
        """
        if metric in CLASS_METRICS:
            return self.said
        if metric in NUMBER_METRICS:
            raise IncomparableError(f"{metric} is of numbers, and the model answers classes")
        chance = self.probs.get(positive)
        if chance is None or np.isnan(chance).any():
            raise IncomparableError(f"{metric} asks for probabilities, which were not kept")
        return chance


def number_truths(rows: AnsweredRows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the truth and the answer of rows of which both are a number.

    Raises:
        IncomparableError: the model answers more than a number, or the truth is none.
    """
    if len(rows.answers) != 1:
        shown = ", ".join(rows.answers) or "nothing"
        raise IncomparableError(f"expected answers of one number, found {shown}")
    (values,) = rows.answers.values()
    said, truth = _floats([_single(each) for each in values]), _floats(rows.truth)
    if np.isnan(said).any() or np.isnan(truth).any():
        raise IncomparableError("expected numbers as answers and as truth, found others")
    return truth, said


def _spelled(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _single(value: object) -> object:
    """Take the only number out of a tensor of one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _floats(values: Sequence[object]) -> NDArray[np.float64]:
    plain = [float(each) if isinstance(each, int | float) else np.nan for each in values]
    return np.array(plain, np.float64)
