from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.models.majority import MajorityVote
from gristmill.label.selection.cut_statistic import agreement, cut_statistic, keep_best
from gristmill.label.votes import Votes


def table(labels: list[int], **columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"row_id": range(len(labels)), "label": labels, **columns})


def slow_agreement(labels, neighbors, weights):
    """Edge by edge."""
    scores = []
    for row, label in enumerate(labels):
        share = list(labels).count(label) / len(labels)
        cut = mean = variance = 0.0
        for other, weight in zip(neighbors[row], weights[row], strict=True):
            cut += weight if labels[other] != label else 0
            mean += weight * (1 - share)
            variance += weight**2 * share * (1 - share)
        scores.append(0.0 if variance == 0 else -(cut - mean) / variance**0.5)
    return scores


@given(st.integers(0, 10**6), st.integers(2, 15), st.integers(1, 4), st.integers(1, 4))
def test_agreement_is_its_definition(seed, rows, count, classes):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    neighbors = rng.integers(0, rows, (rows, count))
    weights = rng.random((rows, count)) * (rng.random((rows, count)) < 0.8)
    found = agreement(labels, neighbors, weights)
    np.testing.assert_allclose(found, slow_agreement(labels, neighbors, weights), atol=1e-9)


@pytest.fixture
def clusters():
    """Two bundles of 40 directions; the true class is the bundle."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 40)
    centres = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    return centres[truth] + rng.normal(scale=0.2, size=(80, 3)), truth


def test_wrong_labels_score_lowest(clusters):
    features, truth = clusters
    wrong = np.array([3, 17, 50, 71])
    labels = truth.copy()
    labels[wrong] = 1 - labels[wrong]
    scores = cut_statistic(features, table(labels.tolist()), neighbors=10).to_numpy()
    assert set(np.argsort(scores)[:4]) == set(wrong.tolist())
    assert (scores[wrong] < 0).all()


def test_does_not_depend_on_the_order_of_rows(clusters):
    features, truth = clusters
    labels = table(truth.tolist())
    order = np.random.default_rng(1).permutation(80)
    scores = cut_statistic(features, labels, neighbors=5)
    moved = cut_statistic(features[order], labels[order], neighbors=5)
    assert moved.to_list() == scores[order].to_list()


def test_rows_without_a_label_take_no_part(clusters):
    features, truth = clusters
    labels = truth.tolist()
    with_gaps = table([-1, None, *labels[2:]])
    scores = cut_statistic(features, with_gaps, neighbors=5)
    assert scores.name == "agreement"
    assert scores.is_null().to_list() == [True, True] + [False] * 78
    alone = cut_statistic(features[2:], with_gaps[2:], neighbors=5)
    assert alone.to_list() == scores[2:].to_list()


def test_neighbours_of_a_sample(clusters):
    features, truth = clusters
    labels = table(truth.tolist())
    scores = cut_statistic(features, labels, neighbors=5, most_rows=30)
    order = np.random.default_rng(1).permutation(80)
    moved = cut_statistic(features[order], labels[order], neighbors=5, most_rows=30)
    assert moved.to_list() == scores[order].to_list()
    assert scores.min() > 0
    other = cut_statistic(features, labels, neighbors=5, most_rows=30, seed=1)
    assert other.to_list() != scores.to_list()


def test_keeps_the_best_of_each_class():
    labels = table([0, 0, 0, 1, 1, 0, -1], source=["model"] * 5 + ["gold", "none"])
    scores = pl.Series([0.1, 0.9, 0.5, -3.0, -2.0, -9.0, None])
    kept = keep_best(scores, labels, 0.5)
    assert kept.tolist() == [False, True, True, False, True, True, False]
    assert keep_best(scores, labels, 1.0).tolist() == [True] * 6 + [False]


def test_ties_go_by_row_id():
    labels = pl.DataFrame({"row_id": [5, 3, 4], "label": [0, 0, 0]})
    assert keep_best(pl.Series([1.0, 1.0, 1.0]), labels, 0.4).tolist() == [False, True, True]


def test_refusals(clusters):
    features, truth = clusters
    labels = table(truth.tolist())
    with pytest.raises(LabelError, match=r"^expected 80 rows, one a label, found 79$"):
        cut_statistic(features[1:], labels)
    with pytest.raises(LabelError, match=r"^a labels table needs columns 'row_id' and 'label', fo"):
        cut_statistic(features, labels.drop("label"))
    with pytest.raises(LabelError, match=r"^neighbors must be at least 1 and below most_rows, fou"):
        cut_statistic(features, labels, neighbors=0)
    with pytest.raises(LabelError, match=r"^expected more than 20 labelled rows, as many neighbo"):
        cut_statistic(features[:20], labels[:20])
    with pytest.raises(LabelError, match=r"^share must be above 0 and at most 1, found 0$"):
        keep_best(pl.Series([0.0] * 80), labels, 0)


def test_labels_are_taken_for_their_table():
    votes = Votes.from_matrix([[0], [0], [1], [1]], classes=2)
    labels = MajorityVote(2).predict(votes)
    features = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    found = cut_statistic(features, labels, neighbors=1)
    assert found.equals(cut_statistic(features, labels.table, neighbors=1))
    with pytest.raises(LabelError, match=r"^expected labels or their table, found ndarray$"):
        cut_statistic(labels, features)


def test_scores_that_are_no_numbers_are_kept_last():
    labels = table([0, 0, 1, 1])
    scores = np.array([np.nan, 0.1, 0.2, np.nan])
    assert keep_best(scores, labels, 0.5).tolist() == [False, True, True, False]
