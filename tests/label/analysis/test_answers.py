from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.analysis.answers import compare, true_classes
from gristmill.label.models.label_model import LabelModel
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes

VOTES = Votes.from_matrix([[0, 0], [1, 1], [0, 1], [-1, -1], [1, -1]], row_ids=list("abcde"))


def test_arrays_of_numbers_and_of_names() -> None:
    numbers = compare([0, 1, -1], [0, -1, 1])
    assert numbers.predicted.tolist() == [0, 1, -1]
    assert numbers.truth.tolist() == [0, -1, 1]
    assert numbers.row_ids.to_list() == [0, 1, 2]
    names = compare(["ham", "spam", None], ["ham", None, "spam"], classes=["ham", "spam"])
    assert names.predicted.tolist() == numbers.predicted.tolist()
    assert names.classes == ("ham", "spam")
    assert compare([0, 1], {0: 1}).truth.tolist() == [1, -1]


@pytest.mark.parametrize("model", [MajorityVote(2), LabelModel(2).fit(VOTES)])
def test_gold_rows_of_labels_count_by_what_the_votes_alone_say(
    model: MajorityVote | LabelModel,
) -> None:
    wrong = {"a": 1, "d": 0}
    answers = compare(model.predict(VOTES, gold=wrong), wrong)
    assert answers.predicted.tolist()[:2] == [0, 1]
    assert answers.predicted[3] == -1
    assert answers.truth.tolist() == [1, -1, -1, 0, -1]
    plain = compare(model.predict(VOTES, gold={"e": 1}), {"e": 1})
    assert answers.predicted.tolist() == plain.predicted.tolist()
    assert answers.sureness == pytest.approx(plain.sureness)


def test_labels_and_an_array_of_truth() -> None:
    answers = compare(MajorityVote(2).predict(VOTES), [0, 1, 1, 1, 1])
    assert (answers.predicted == answers.truth).tolist() == [True, True, False, False, True]
    assert answers.votes is VOTES


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(LabelError, match="expected 2 gold classes, one per row, found 3"):
        compare([0, 1], [0, 1, 1])
    with pytest.raises(LabelError, match=r"gold class 'eggs' is none of \['ham', 'spam'\]"):
        compare(["ham"], ["eggs"], classes=["ham", "spam"])
    with pytest.raises(LabelError, match=r"expected predicted classes of shape \[rows\]"):
        compare(np.zeros((2, 2), int), [0, 1])
    with pytest.raises(LabelError, match="found vote 2; expected -1 to abstain or a class 0 to 1"):
        true_classes([2, 0, 0, 0, 0], VOTES)


def test_no_gold_is_all_unknown() -> None:
    assert true_classes(None, VOTES).tolist() == [-1] * 5
    frame = pl.DataFrame({"row_id": ["b"], "label": [1]})
    assert true_classes(frame, VOTES).tolist() == [-1, 1, -1, -1, -1]
