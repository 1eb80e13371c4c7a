"""Answers of several models made one, and how far the models agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import ServeError
from gristmill.serve.runners.labels import ClassRows
from gristmill.serve.runners.rows import Column, Rows

if TYPE_CHECKING:
    from gristmill.store.bundle import Field

Combine: TypeAlias = Literal["mean", "vote"]

_NUMBERS = ("int", "float", "bool", "tensor")
_TIE = 0.5
"""What mean probabilities add to votes: less than one vote, so that they decide ties alone."""


class Combined(NamedTuple):
    """One answer per row, and float64[n] in 0..1: how far the models agree on each."""

    rows: Rows
    agreement: NDArray[np.float64]


def combine(answers: Sequence[Rows], classes: Sequence[str], how: Combine = "mean") -> Combined:
    """Make one answer of those of one or more models to the same rows.

    Of a classifier, "mean" takes the mean of the probabilities; "vote" the class that most models
    name, its probability being its share of the votes (ties: the mean decides). The agreement is
    the share of the models that name the class of the answer. Of any other model the mean of
    each output is taken, and the agreement is s / (s + d), with d the mean absolute deviation of
    the models from the answer and s the mean absolute answer.

    Raises:
        ServeError: an output that is neither a class nor numbers of one shape.
    """
    if not classes:
        return _combined_numbers(answers)
    probs = np.stack([cast("NDArray[Any]", each["probs"]) for each in answers])
    mean: NDArray[np.float64] = probs.mean(axis=0)
    named = probs.argmax(axis=2)
    if how == "vote":
        votes = (named[:, :, None] == np.arange(len(classes))).mean(axis=0)
        best = (votes + mean * (_TIE / len(answers))).argmax(axis=1)
        places = np.arange(len(best))
        labels = [classes[place] for place in best.tolist()]
        rows = Rows({"label": labels, "prob": votes[places, best], "probs": votes}, len(best))
    else:
        best = mean.argmax(axis=1)
        rows = ClassRows(classes, mean)
    return Combined(rows, (named == best).mean(axis=0))


def check_combinable(name: str, outputs: Sequence[Field], classes: Sequence[str]) -> None:
    """Check that answers of models with these outputs can be made one.

    Raises:
        ServeError: an output is neither a class nor numbers of one shape.
    """
    for field in () if classes else outputs:
        if field.kind not in _NUMBERS or field.ragged:
            raise ServeError(
                f"output {field.name!r} cannot be combined: expected numbers of one shape",
                where=f"route {name!r}",
                fix="take models with classes or tensors of a fixed shape into an ensemble",
            )


def _combined_numbers(answers: Sequence[Rows]) -> Combined:
    count = answers[0].count
    columns: dict[str, Column] = {}
    agreements = []
    for name in answers[0].columns:
        stacked = _stacked(name, [each[name] for each in answers])
        mean = stacked.mean(axis=0)
        columns[name] = mean
        inner = tuple(range(1, mean.ndim))
        apart = np.abs(stacked - mean).mean(axis=0).mean(axis=inner)
        size = np.abs(mean).mean(axis=inner)
        total = size + apart
        agreements.append(np.divide(size, total, out=np.ones(count), where=total > 0))
    return Combined(Rows(columns, count), np.mean(agreements, axis=0))


def _stacked(name: str, columns: Sequence[Column]) -> NDArray[np.float64]:
    arrays = [each for each in columns if isinstance(each, np.ndarray)]
    same = len(arrays) == len(columns) and len({each.shape for each in arrays}) == 1
    if not same or arrays[0].dtype.kind not in "fiub":
        raise ServeError(
            f"output {name!r} cannot be combined: expected numbers of one shape",
            fix="take models with classes or tensors of a fixed shape into an ensemble",
        )
    return np.stack(arrays).astype(np.float64)
