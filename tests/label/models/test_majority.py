from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.core.errors import LabelError
from gristmill.label.models.majority import MajorityVote, count_votes
from gristmill.label.votes import Votes


def probs(matrix: list[list[int]], **options: object) -> list[list[float]]:
    votes = Votes.from_matrix(matrix, classes=2)
    return MajorityVote(2, **options).predict_proba(votes).tolist()  # type: ignore[arg-type]


def test_the_majority_wins_and_ties_are_shared() -> None:
    wins = [[0, 1, 0], [0, 1, 0], [1, 0, 0], [-1, -1, 1]]
    assert probs(wins) == [[1, 0], [1, 0], [1, 0], [0, 1]]
    assert probs([[0, 0, -1], [-1, 0, 1], [1, -1, 0]]) == [[1, 0], [0.5, 0.5], [0.5, 0.5]]
    assert probs([[-1, -1, -1]]) == [[0.5, 0.5]]


def test_a_default_class_takes_ties_and_silence() -> None:
    assert probs([[0, 1], [-1, -1], [0, 0]], default=1) == [[0, 1], [0, 1], [1, 0]]


@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(0, 8), st.integers(1, 5)), elements=st.integers(-1, 2)
    )
)
def test_it_equals_counting_by_hand(matrix: np.ndarray) -> None:
    found = MajorityVote(3).predict_proba(Votes.from_matrix(matrix, classes=3))
    for row, line in enumerate(matrix.tolist()):
        counts = [line.count(label) for label in range(3)]
        best = [label for label in range(3) if counts[label] == max(counts)]
        assert found[row].tolist() == [1 / len(best) if y in best else 0 for y in range(3)]


def test_blocks_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    votes = Votes.from_matrix(np.random.default_rng(0).integers(-1, 3, (40, 5)), classes=3)
    whole = MajorityVote(3, default=1).predict_proba(votes)
    monkeypatch.setattr("gristmill.label.models.majority._BLOCK_ROWS", 7)
    np.testing.assert_array_equal(MajorityVote(3, default=1).predict_proba(votes), whole)


def test_more_votes_than_a_byte_counts() -> None:
    matrix = np.array([[0] * 300 + [1] * 50], np.int8)
    assert count_votes(matrix, 3).tolist() == [[300], [50], [0]]
    assert count_votes(matrix[:, :255], 2).tolist() == [[255], [0]]


def test_labels_abstain_on_ties_and_keep_gold() -> None:
    votes = Votes.from_matrix([[0, 0], [0, 1], [-1, -1], [-1, -1]], classes=["ham", "spam"])
    table = MajorityVote(votes.classes).predict(votes, gold={3: "spam"}).table
    assert table["label"].to_list() == [0, -1, -1, 1]
    assert table["source"].to_list() == ["model", "model", "none", "gold"]
    assert table["weight"].to_list() == [1, 0, 0, 1]


def test_with_a_default_every_row_has_a_label() -> None:
    votes = Votes.from_matrix([[0, 1], [-1, -1]], classes=["ham", "spam"])
    labels = MajorityVote(votes.classes, default="ham").predict(votes)
    assert labels.table["label"].to_list() == [0, 0]
    assert labels.table["source"].to_list() == ["model", "model"]


def test_explanations_have_votes_and_no_odds() -> None:
    votes = Votes.from_matrix([[0, 1, 0]], classes=["ham", "spam"], names=["a", "b", "c"])
    told = MajorityVote(2).classes, MajorityVote(votes.classes).predict(votes).explain(0)
    assert [(each.source, each.vote, each.log_odds) for each in told[1].evidence] == [
        ("a", "ham", None),
        ("b", "spam", None),
        ("c", "ham", None),
    ]


def test_what_it_refuses() -> None:
    with pytest.raises(LabelError, match=r"^default class 'eggs' is none of 0 'ham', 1 'spam'$"):
        MajorityVote(["ham", "spam"], default="eggs")
    with pytest.raises(LabelError, match=r"^default class 2 is none of"):
        MajorityVote(2, default=2)
    for method in ("predict", "predict_proba"):
        with pytest.raises(LabelError, match=r"^votes have classes \['0', '1', '2'\], expected"):
            getattr(MajorityVote(2), method)(Votes.from_matrix([[2]]))


def test_the_fingerprint_follows_classes_and_default() -> None:
    marks = {
        MajorityVote(2).__fingerprint__(),
        MajorityVote(3).__fingerprint__(),
        MajorityVote(2, default=0).__fingerprint__(),
    }
    assert len(marks) == 3
