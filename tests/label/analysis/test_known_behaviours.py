"""Figures that other libraries for weak supervision give on small known inputs, and so do we."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from gristmill.label.analysis.counts import count_votes
from gristmill.label.analysis.error_buckets import buckets
from gristmill.label.analysis.summary import analyze
from gristmill.label.slices.slice_scores import score_slices
from gristmill.label.votes import Votes

TRUTH = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def votes(six_by_six: NDArray[np.int64]) -> Votes:
    return Votes.from_matrix(six_by_six, classes=3)


def test_shares_of_rows_covered_overlapping_and_in_conflict(votes: Votes) -> None:
    analysis = analyze(votes)
    shares = (analysis.coverage, analysis.overlap, analysis.conflict)
    assert shares == pytest.approx((5 / 6, 4 / 6, 3 / 6))


def test_polarities_and_coverages(votes: Votes) -> None:
    table = analyze(votes).table
    assert [[int(name) for name in names] for names in table["polarity"].to_list()] == [
        [1, 2], [], [0, 2], [2], [0, 1], [0]
    ]  # fmt: skip
    assert (table["coverage"] * 6).to_list() == pytest.approx([3, 0, 3, 2, 2, 4])


def test_overlaps_and_conflicts_plain_and_normalised(votes: Votes) -> None:
    counts = count_votes(votes.matrix, 3)
    voted = counts.said.sum(axis=1)
    assert counts.overlaps.tolist() == [3, 0, 3, 1, 2, 4]
    assert (counts.overlaps / np.maximum(voted, 1)).tolist() == [1, 0, 1, 1 / 2, 1, 1]
    assert counts.conflicts.tolist() == [3, 0, 2, 1, 2, 3]
    normalised = counts.conflicts / np.maximum(counts.overlaps, 1)
    assert normalised.tolist() == pytest.approx([1, 0, 2 / 3, 1, 1, 3 / 4])


def test_empirical_accuracies(votes: Votes) -> None:
    """A source that never votes has none, where others say 0."""
    table = analyze(votes, TRUTH).table
    assert table["accuracy"].to_list() == pytest.approx([1 / 3, None, 1 / 3, 1 / 2, 1 / 2, 1 / 2])
    assert table["correct"].to_list() == [1, 0, 1, 1, 1, 2]
    assert table["incorrect"].to_list() == [2, 0, 2, 1, 1, 2]


def test_empirical_probabilities_follow_from_the_votes_by_class(votes: Votes) -> None:
    """P(vote of the first source | class), abstaining first."""
    column = votes.matrix[:, 0]
    table = [[np.mean(column[y == TRUTH] == vote) for y in range(3)] for vote in (-1, 0, 1, 2)]
    assert table == [[1 / 2, 1, 0], [0, 0, 0], [1 / 2, 0, 1 / 2], [0, 0, 1 / 2]]


def test_a_matrix_without_abstentions_whose_classes_do_not_start_at_zero() -> None:
    rows = [[3, 4, 5, 3, 4, 5], [4, 5, 3, 4, 5, 3], [5, 3, 4, 5, 3, 4]] * 2
    analysis = analyze(Votes.from_matrix(np.array(rows), classes=6), [3, 3, 3, 4, 4, 4])
    assert (analysis.coverage, analysis.overlap, analysis.conflict) == (1.0, 1.0, 1.0)
    assert analysis.table["accuracy"].to_list() == pytest.approx([2 / 6] * 6)


def test_buckets_of_predicted_and_true_classes() -> None:
    found = buckets([2, 1, 3, 1, 1, 3], [1, 2, 3, 1, 2, 3])
    rows = {
        (int(each.predicted), int(each.truth)): found.positions(each.predicted, each.truth).tolist()
        for each in found.buckets
    }
    assert rows == {(2, 1): [0], (1, 2): [1, 4], (3, 3): [2, 5], (1, 1): [3]}


def test_scores_of_slices_leave_out_what_is_unknown() -> None:
    everywhere = pl.DataFrame({"row_id": range(5), "part": [True, True, True, False, False]})
    scores = score_slices([0, 0, 1, 1, 1], [0, 0, 0, 1, 0], everywhere)
    assert scores["overall"].accuracy == pytest.approx(0.6)
    assert scores["part"].accuracy == pytest.approx(2 / 3)
    ignoring = score_slices([1, 0, 1, 1, 0], [1, 0, 1, 0, -1], everywhere)
    assert ignoring["overall"].accuracy == pytest.approx(0.75)
    silent = score_slices([-1, -1, 0, 0, 0], [0, 0, 0, 0, 0], everywhere)["overall"]
    assert silent.answered / silent.rows == pytest.approx(0.6)
