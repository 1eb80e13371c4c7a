from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import ServeError
from gristmill.serve.routing.combining import check_combinable, combine
from gristmill.serve.runners.labels import ClassRows
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.bundle import Field

CLASSES = ["a", "b", "c"]


@st.composite
def answers(draw):
    members, count = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    raw = draw(
        st.lists(st.integers(1, 9), min_size=members * count * 3, max_size=members * count * 3)
    )
    probs = np.array(raw, float).reshape(members, count, 3)
    probs /= probs.sum(axis=2, keepdims=True)
    return [ClassRows(CLASSES, each) for each in probs]


@settings(max_examples=60, deadline=None)
@given(answers())
def test_the_mean_is_that_of_the_probabilities(found):
    rows, agreement = combine(found, CLASSES)
    for row in range(rows.count):
        means = [sum(each["probs"][row][c] for each in found) / len(found) for c in range(3)]
        assert list(rows["probs"][row]) == pytest.approx(means)
        assert means[CLASSES.index(rows["label"][row])] == pytest.approx(max(means))
        same = [each["label"][row] == rows["label"][row] for each in found]
        assert agreement[row] == pytest.approx(sum(same) / len(found))


@settings(max_examples=60, deadline=None)
@given(answers())
def test_a_vote_goes_to_whom_most_name_and_a_tie_to_the_mean(found):
    rows, agreement = combine(found, CLASSES, "vote")
    for row in range(rows.count):
        votes = Counter(each["label"][row] for each in found)
        means = {c: sum(each["probs"][row][i] for each in found) for i, c in enumerate(CLASSES)}
        tied = [c for c in CLASSES if votes[c] == max(votes.values())]
        assert rows["label"][row] in tied
        assert means[rows["label"][row]] == pytest.approx(max(means[c] for c in tied))
        assert rows["prob"][row] == pytest.approx(max(votes.values()) / len(found))
        assert agreement[row] == rows["prob"][row]


def test_numbers_are_averaged_and_their_agreement_falls_as_they_part():
    found = [Rows({"y": np.array([1.0, 1.0, 0.0])}), Rows({"y": np.array([1.0, 3.0, 0.0])})]
    rows, agreement = combine(found, ())
    assert rows["y"].tolist() == [1.0, 2.0, 0.0]
    assert agreement.tolist() == pytest.approx([1.0, 2 / 3, 1.0])


@pytest.mark.parametrize(
    "columns",
    [
        (np.zeros((2, 3)), np.zeros((2, 4))),
        (["x", "y"], ["x", "y"]),
        (Ragged.of([np.zeros(1), np.zeros(2)]), Ragged.of([np.zeros(1), np.zeros(2)])),
    ],
)
def test_what_cannot_be_averaged_is_an_error(columns):
    with pytest.raises(ServeError, match="output 'y' cannot be combined: expected numbers of one"):
        combine([Rows({"y": column}) for column in columns], ())


def test_what_cannot_be_combined_is_known_from_the_fields():
    check_combinable("r", [Field("label", "string")], CLASSES)
    check_combinable("r", [Field("x", "tensor", dtype="float32", shape=[3])], [])
    for field in (Field("x", "string"), Field("x", "tensor", dtype="float32", shape=[None])):
        with pytest.raises(ServeError, match="output 'x' cannot be combined"):
            check_combinable("r", [field], [])
