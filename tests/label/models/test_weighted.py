from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.majority import MajorityVote
from gristmill.label.models.weighted import WeightedVote, agreement
from gristmill.label.votes import Votes

THREE = Votes.from_matrix([[0, 0, 1], [1, -1, 1]], names=["a", "b", "c"])


@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(0, 9), st.integers(1, 4)), elements=st.integers(-1, 2)
    )
)
def test_agreement_equals_counting_by_hand(matrix: NDArray[np.int8]) -> None:
    by_hand = np.zeros(matrix.shape[1])
    for row in matrix.tolist():
        counts = [row.count(label) for label in range(3)]
        best = [label for label in range(3) if counts[label] == max(counts)]
        for source, vote in enumerate(row):
            by_hand[source] += (vote in best) / len(best)
    np.testing.assert_allclose(agreement(matrix, 3), by_hand)


def test_blocks_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.random.default_rng(0).integers(-1, 3, (40, 5)).astype(np.int8)
    whole = agreement(matrix, 3)
    monkeypatch.setattr("gristmill.label.models.weighted._BLOCK_ROWS", 7)
    np.testing.assert_array_equal(agreement(matrix, 3), whole)


def test_weights_are_the_log_odds_of_agreement_beside_ten_rows_of_belief() -> None:
    votes = Votes.from_matrix([[0, 0, 1]] * 20, names=["a", "b", "c"])
    weights = WeightedVote(2, accuracy=0.8).fit(votes).source_weights
    assert weights == pytest.approx({"a": np.log(28 / 2), "b": np.log(28 / 2), "c": np.log(8 / 22)})


def test_gold_corrects_agreement() -> None:
    votes = Votes.from_matrix([[0, 0, 1]] * 20, names=["a", "b", "c"])
    weights = WeightedVote(2, accuracy=0.8).fit(votes, dict.fromkeys(range(20), 1)).source_weights
    agreed, differed = 28 / 30, 8 / 30
    assert weights["a"] == pytest.approx(np.log(agreed * 10 / (30 - agreed * 10)))
    assert weights["c"] == pytest.approx(np.log((20 + differed * 10) / (10 - differed * 10)))
    assert weights["a"] < 0 < weights["c"]


def test_it_beats_majority_vote_where_sources_differ(draw: Callable[..., Any]) -> None:
    drawn = draw(3000, [0.95, 0.6, 0.6, 0.55, 0.55], [0.8] * 5)
    covered = drawn.votes.covered
    told = WeightedVote(2).fit(drawn.votes).predict_proba(drawn.votes)
    plain = MajorityVote(2).predict_proba(drawn.votes)
    rows = np.arange(3000)
    gain = told[rows, drawn.truth] > 0.5
    assert gain[covered].mean() > plain[rows, drawn.truth][covered].mean() + 0.03


def test_given_weights_are_log_odds() -> None:
    for weights in ({"c": 0.5, "b": 1.0, "a": 1.5}, [1.5, 1.0, 0.5]):
        model = WeightedVote(2, weights=weights).fit(THREE)
        assert model.source_weights == {"a": 1.5, "b": 1.0, "c": 0.5}
        expected = [1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(2.0))]
        np.testing.assert_allclose(model.predict_proba(THREE)[:, 0], expected)


def test_equal_weights_tie() -> None:
    model = WeightedVote(2, weights=[0.3, 0.3, 0.3])
    votes = Votes.from_matrix([[0, 1, -1], [0, 0, 1]])
    assert model.fit(votes).predict(votes).table["label"].to_list() == [-1, 0]


def test_it_works_with_one_source_and_with_silent_ones() -> None:
    single = Votes.from_matrix([[0], [1], [-1]])
    np.testing.assert_allclose(
        WeightedVote(2).fit(single).predict_proba(single)[:, 0], [10 / 13, 3 / 13, 0.5], atol=0.02
    )
    idle = Votes.from_matrix([[0, -1], [0, -1]], classes=4)
    weights = WeightedVote(4, accuracy=0.7).fit(idle).source_weights
    assert weights["source_1"] == pytest.approx(np.log(0.7 * 3 / 0.3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [1, 2]}, "^expected a weight for each of 3 sources, found 2$"),
        (
            {"weights": {"a": 1, "b": 1, "x": 1}},
            "^expected a weight for each of the sources a, b, c; missing or unknown: c, x$",
        ),
        ({"weights": [1, np.nan, 1]}, "^expected weights that are finite numbers, found nan$"),
        ({"accuracy": 0.5}, r"^expected accuracy between 0.5 and 1, found 0.5$"),
        ({"accuracy": 1.0}, r"^expected accuracy between 0.5 and 1, found 1.0$"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        WeightedVote(2, **options).fit(THREE)
