"""Answers beside the truth: what was predicted for each row, and what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from gristmill.core.errors import LabelError
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.labels import GOLD, Labels, winners
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes

if TYPE_CHECKING:
    from gristmill.label.explain import Scoring

Predicted: TypeAlias = Labels | ArrayLike
"""Labels, or int[n] classes 0..k-1 (or names, with `classes=`), -1 (or None) for no answer."""
Truth: TypeAlias = Gold | ArrayLike
"""Gold by row id, or int[n] classes (or names) in the order of the rows, -1 where unknown."""


@dataclass(frozen=True)
class Answers:
    """Predicted and true classes of n rows.

    Attributes:
        row_ids: of the rows.
        classes: the k names.
        predicted: int64[n], -1 where there is no answer.
        truth: int64[n], -1 where unknown.
        sureness: float64[n], probability of the predicted class; 1 where nobody says.
        votes: what the sources said, where the answers are `Labels`.
    """

    row_ids: pl.Series
    classes: tuple[str, ...]
    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]
    sureness: NDArray[np.float64]
    votes: Votes | None


def compare(
    predicted: Predicted,
    gold: Truth,
    *,
    classes: Sequence[str] | int | None = None,
    row_ids: pl.Series | None = None,
) -> Answers:
    """Put answers beside the truth.

    On rows that `Labels` hold an expert's label of, the answer is what the votes alone say: an
    expert always agrees with himself.

    Args:
        predicted: labels, or classes of n rows.
        gold: classes by row id, or of n rows.
        classes: names, or how many; default is those of the labels, else as many as occur.
        row_ids: of the rows; default is those of the labels, else 0..n-1.

    Raises:
        LabelError: the two differ in length, hold what is no class, or gold does not fit the ids.
    """
    if isinstance(predicted, Labels):
        codes, sureness = _votes_alone(predicted)
        votes, known = predicted.votes, predicted.votes
    else:
        known = _column(predicted, classes or _most(predicted, gold), "predicted", row_ids)
        codes, votes = known.matrix[:, 0].astype(np.int64), None
        sureness = np.ones(len(codes))
    return Answers(known.row_ids, known.classes, codes, true_classes(gold, known), sureness, votes)


def true_classes(gold: Truth | None, votes: Votes) -> NDArray[np.int64]:
    """Return the true class of each row of the votes: int64[n], -1 where unknown.

    Raises:
        LabelError: gold does not fit the votes.
    """
    if gold is None or isinstance(gold, Mapping) or hasattr(gold, "columns"):
        return gold_codes(cast("Gold | None", gold), votes)
    column = _column(gold, votes.classes, "gold", None)
    if len(column) != len(votes):
        raise LabelError(f"expected {len(votes)} gold classes, one per row, found {len(column)}")
    return column.matrix[:, 0].astype(np.int64)


def _column(
    values: ArrayLike, classes: Sequence[str] | int, name: str, row_ids: pl.Series | None
) -> Votes:
    """Take a column of classes as the votes of one source, which checks it."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise LabelError(f"expected {name} classes of shape [rows], found {array.shape}")
    if array.dtype.kind in "OUS":
        array = _codes(array.tolist(), classes, name)
    return Votes.from_matrix(array[:, None], classes=classes, names=[name], row_ids=row_ids)


def _codes(values: list[object], classes: Sequence[str] | int, name: str) -> NDArray[np.int64]:
    names = [str(each) for each in (range(classes) if isinstance(classes, int) else classes)]
    known: dict[object, int] = {None: -1, -1: -1}
    known |= {each: code for code, each in enumerate(names)} | {c: c for c in range(len(names))}
    strange = next((value for value in values if value not in known), None)
    if strange is not None:
        raise LabelError(
            f"{name} class {strange!r} is none of {names}", fix="name the classes: classes=[...]"
        )
    return np.array([known[value] for value in values], np.int64)


def _most(predicted: ArrayLike, gold: Truth) -> int:
    """Return how many classes two columns of numbers speak of, at least two."""
    both = (
        [predicted] if isinstance(gold, Mapping) or hasattr(gold, "columns") else [predicted, gold]
    )
    columns = [np.asarray(values) for values in both]
    return max(2, *(int(c.max(initial=0)) + 1 if c.dtype.kind in "iu" else 2 for c in columns))


def _votes_alone(labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    codes = labels.table["label"].to_numpy().astype(np.int64)
    sureness = labels.table["probs"].arr.max().to_numpy().copy()
    gold = np.flatnonzero((labels.table["source"] == GOLD).to_numpy())
    if len(gold):
        probs = _probs(labels, gold)
        heard = labels.votes.matrix[gold].max(axis=1) >= 0
        codes[gold] = np.where(heard, winners(probs), -1)
        sureness[gold] = probs.max(axis=1)
    return codes, sureness


def _probs(labels: Labels, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what the votes alone say of some rows: float64[r, k]."""
    matrix = labels.votes.matrix[rows]
    if labels.scoring is None:
        alone = Votes.from_matrix(
            matrix, classes=labels.classes, names=labels.votes.names, row_ids=None
        )
        return MajorityVote(labels.classes).predict_proba(alone)
    return _added_up(matrix, labels.scoring)


def _added_up(matrix: NDArray[np.integer], scoring: Scoring) -> NDArray[np.float64]:
    scores = np.tile(np.array(scoring.log_prior), (len(matrix), 1))
    for column, table in zip(matrix.T, scoring.table, strict=True):
        scores += table[column]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    if scoring.silent is not None:
        probs[(matrix < 0).all(axis=1)] = scoring.silent
    return probs
