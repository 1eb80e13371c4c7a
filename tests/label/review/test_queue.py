from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label import LabelModel, Labels, Votes
from gristmill.label.review.queue import review_queue


def labels_of(matrix: Any, **options: Any) -> Labels:
    votes = Votes.from_matrix(matrix, **options)
    return LabelModel(votes.classes).fit(votes).predict(votes)


def queue(labels: Labels, **options: Any) -> pl.DataFrame:
    return review_queue(labels.votes, labels, **options)


def test_the_frame(labels: Labels) -> None:
    found = queue(labels, k=2, random=0)
    assert found.schema == {
        "row_id": pl.Int64,
        "drawn": pl.String,
        "worth": pl.Float64,
        "uncertainty": pl.Float64,
        "coverage": pl.Float64,
        "disagreement": pl.Float64,
        "rows": pl.Int64,
        "why": pl.String,
    }
    first = found.row(0, named=True)
    assert first["row_id"] in (12, 14)  # the two rows on which the sources disagree
    assert (first["rows"], first["disagreement"]) == (2, 2.0)
    factors = first["uncertainty"] * first["coverage"] * first["disagreement"]
    assert first["worth"] == pytest.approx(factors)
    assert first["why"].startswith("votes: 1 for ham, 1 for spam; ")
    assert first["why"].endswith("2 rows alike")


def test_every_row_is_asked_about_once(labels: Labels) -> None:
    found = queue(labels, k=100)
    assert sorted(found["row_id"]) == list(range(10, 16))
    assert queue(labels, k=0).height == 0
    assert queue(labels, answered=found["row_id"]).height == 0
    nobody = found.filter(pl.col("row_id") == 13)
    assert "nobody votes on it" in nobody["why"][0]


def test_near_copies_do_not_follow_one_another() -> None:
    labels = labels_of([[0, 1]] * 50 + [[1, 1]] * 5 + [[0, -1]] * 5 + [[-1, 1]] * 5)
    votes = labels.votes.matrix[queue(labels, k=20, random=0)["row_id"].to_numpy()].tolist()
    assert all(one != other for one, other in pairwise(votes))


def test_it_does_not_depend_on_the_order_of_rows(draw: Callable[..., Any]) -> None:
    drawn = draw(300, [0.8, 0.7, 0.6, 0.6], [0.6, 0.5, 0.4, 0.4], classes=3)
    ids = [f"r{number}" for number in range(300)]
    order = np.random.default_rng(0).permutation(300)
    first = queue(labels_of(drawn.matrix, row_ids=ids), k=40)
    second = queue(labels_of(drawn.matrix[order], row_ids=[ids[row] for row in order]), k=40)
    assert first["row_id"].to_list() == second["row_id"].to_list()
    np.testing.assert_allclose(first["worth"], second["worth"])
    other = queue(labels_of(drawn.matrix, row_ids=ids), k=40, seed=1)
    assert other["row_id"].to_list() != first["row_id"].to_list()


def test_a_share_is_drawn_at_random(draw: Callable[..., Any]) -> None:
    labels = labels_of(draw(200, [0.9, 0.6], [0.9, 0.9]).matrix)
    found = queue(labels, k=20, random=0.25)
    assert [place for place, how in enumerate(found["drawn"]) if how == "random"] == [
        3,
        7,
        11,
        15,
        19,
    ]
    assert found["why"][3].startswith("drawn at random; ")
    assert set(queue(labels, k=20, random=1.0)["drawn"]) == {"random"}
    assert set(queue(labels, k=20, random=0.0)["drawn"]) == {"worth"}


def test_random_rows_are_drawn_evenly() -> None:
    labels = labels_of([[0, 1]] * 200 + [[0, 0]] * 600 + [[-1, -1]] * 200)
    rows = queue(labels, k=500, random=1.0)["row_id"].to_numpy()
    shares = np.histogram(rows, [0, 200, 800, 1000])[0] / 500
    np.testing.assert_allclose(shares, [0.2, 0.6, 0.2], atol=0.05)


def test_answers_lower_the_worth_of_rows_alike(labels: Labels) -> None:
    before = queue(labels, random=0)
    first = before["row_id"][0]
    after = queue(labels, random=0, answered=pl.Series([first, 99]))
    assert first not in after["row_id"]
    twin = after.filter(pl.col("row_id") == 26 - first)  # 12 and 14 have the same votes
    assert twin["coverage"][0] < before["coverage"][0]


def test_second_opinions_and_rows_left_out(labels: Labels) -> None:
    answered = pl.Series([10, 11, 12])
    assert sorted(queue(labels, answered=answered)["row_id"]) == [13, 14, 15]
    again = queue(labels, answered=answered, again=True, exclude=pl.Series([11]))
    assert sorted(again["row_id"]) == [10, 12]


def test_gold_rows_count_as_answered(labels: Labels) -> None:
    votes = labels.votes
    model = LabelModel(votes.classes).fit(votes, {14: "ham"})
    found = review_queue(votes, model.predict(votes))
    assert sorted(found["row_id"]) == [10, 11, 12, 13, 15]


@pytest.mark.parametrize("options", [{"k": -1}, {"random": -0.1}, {"random": 1.5}])
def test_arguments_outside_their_range(labels: Labels, options: dict[str, Any]) -> None:
    with pytest.raises(LabelError, match=r"^expected k >= 0 and random from 0 to 1, found "):
        queue(labels, **options)


def test_labels_of_other_rows_are_refused(labels: Labels) -> None:
    other = Votes.from_matrix([[0, 1]])
    with pytest.raises(LabelError, match=r"^these labels of 6 rows are not about these votes on 1"):
        review_queue(other, labels)
