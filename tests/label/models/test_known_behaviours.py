"""Behaviours that users of Snorkel's label models know, under our names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.label.labels import winners
from gristmill.label.models.dawid_skene import DawidSkene
from gristmill.label.models.label_model import LabelModel
from gristmill.label.models.majority import MajorityVote
from gristmill.label.models.matrix_completion import MatrixCompletion
from gristmill.label.votes import Votes

each_model = pytest.mark.parametrize(
    "model",
    [LabelModel(2), DawidSkene(2), MatrixCompletion(2)],
    ids=lambda model: type(model).__name__,
)


def generated(rows: int, abstain: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ten sources with random tables of P(answer | class), better than chance; and the classes."""
    rng = np.random.default_rng(123)
    truth = rng.integers(0, 2, rows)
    matrix = np.empty((rows, 10), np.int64)
    for source in range(10):
        table = rng.random((3, 2))
        table[1:] += np.eye(2)
        table[0] *= abstain
        table /= table.sum(axis=0)
        for label in range(2):
            of_class = truth == label
            answers = rng.choice(3, of_class.sum(), p=table[:, label])
            matrix[of_class, source] = answers - 1
    return matrix, truth


def test_majority_votes_of_rows_and_ties() -> None:
    clear = Votes.from_matrix([[0, 1, 0], [0, 1, 0], [1, 0, 0], [-1, -1, 1]])
    assert MajorityVote(2).predict_proba(clear).tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    tied = Votes.from_matrix([[0, 0, -1], [-1, 0, 1], [1, -1, 0]])
    assert MajorityVote(2).predict_proba(tied).tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5]]


def test_a_tie_has_no_label_and_no_row_number_breaks_it() -> None:
    assert winners(np.array([[1 / 3] * 3, [0.2, 0.4, 0.4], [0.1, 0.3, 0.6]])).tolist() == [
        -1,
        -1,
        2,
    ]


@each_model
def test_few_rows_with_little_overlap(model: Any) -> None:
    votes = Votes.from_matrix([[-1, -1, 1], [-1, 1, -1], [0, -1, -1]])
    assert model.fit(votes).predict(votes).table["label"].to_list() == [1, 1, 0]
    votes = Votes.from_matrix([[1, 1, 0], [-1, -1, -1], [1, 0, 1]])
    labels = model.fit(votes).predict(votes)
    assert labels.table["label"].to_list() == [1, -1, 1]
    assert labels.votes.coverage == pytest.approx(2 / 3)


@each_model
def test_sources_that_contradict_each_other_in_turn_leave_ties(model: Any) -> None:
    votes = Votes.from_matrix([[-1, 1, 0], [0, -1, 1], [1, 0, -1]])
    assert model.fit(votes).predict(votes).table["label"].to_list() == [-1, -1, -1]


@each_model
def test_classes_are_recovered(model: Any) -> None:
    matrix, truth = generated(10_000, 1.0)
    votes = Votes.from_matrix(matrix, classes=2)
    assert (model.fit(votes).predict_proba(votes).argmax(axis=1) == truth).mean() >= 0.9


@each_model
def test_a_row_with_a_vote_has_a_label_however_rare_votes_are(model: Any) -> None:
    matrix, truth = generated(10_000, 1000.0)
    votes = Votes.from_matrix(matrix, classes=2)
    labels = model.fit(votes).predict(votes).table["label"].to_numpy()
    single = (matrix >= 0).sum(axis=1) == 1
    assert (labels[single] >= 0).all()
    assert (labels == truth)[votes.covered].mean() >= 0.65
