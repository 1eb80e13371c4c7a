"""Predictions that were kept, as columns, with the truth as far as it has come in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Kept(Protocol):
    """What is read of a kept prediction, as `serve.watch.kept_predictions` yields it."""

    @property
    def at(self) -> float:
        """When it was made, in seconds since 1970."""

    @property
    def answer(self) -> dict[str, object]:
        """The fields of the answer to one row."""

    @property
    def truth(self) -> object | None:
        """What was so; None as long as nobody has said."""

    @property
    def told_at(self) -> float | None:
        """When that was told."""


@dataclass(frozen=True)
class AnsweredRows:
    """Answers of one version to rows, oldest first.

    Attributes:
        at: float64[n], when, in seconds since 1970.
        told_at: float64[n], when the truth was told; NaN where it was not.
        answers: field -> values[n], one for each row.
        truth: the truth of each row; None where it was not told.
    """

    at: NDArray[np.float64]
    told_at: NDArray[np.float64]
    answers: dict[str, list[Any]]
    truth: list[Any]

    @classmethod
    def of(cls, kept: Iterable[Kept]) -> AnsweredRows:
        """Take what is needed of kept predictions; inputs are let go."""
        at, told_at, truth = [], [], []
        answers: dict[str, list[Any]] = {}
        for number, each in enumerate(kept):
            at.append(each.at)
            truth.append(each.truth)
            told = each.truth is not None
            told_at.append(math.nan if not told or each.told_at is None else each.told_at)
            for name, value in each.answer.items():
                answers.setdefault(name, [None] * number).append(value)
            for values in answers.values():
                if len(values) == number:
                    values.append(None)
        return cls(np.array(at, np.float64), np.array(told_at, np.float64), answers, truth)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.at)

    @cached_property
    def told(self) -> NDArray[np.bool_]:
        """bool[n]: of which the truth is known."""
        return np.array([each is not None for each in self.truth], bool)

    def where(self, chosen: NDArray[np.bool_]) -> AnsweredRows:
        """Return some of the rows."""
        places: Sequence[int] = np.flatnonzero(chosen).tolist()
        return AnsweredRows(
            self.at[chosen],
            self.told_at[chosen],
            {name: [values[at] for at in places] for name, values in self.answers.items()},
            [self.truth[at] for at in places],
        )
