"""Gains on the same rows agree with their slow definitions, and their intervals hold the truth."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gristmill.core.errors import DataError, UsageError
from gristmill.core.intervals import student_quantile
from gristmill.core.metrics import difference_interval, score_binary, score_intervals
from gristmill.core.paired import (
    METRICS,
    NUMBER_METRICS,
    SCORE_METRICS,
    figure_interval,
    figure_of,
    gain,
    mcnemar,
    right_alone,
)

ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30
)


def columns(rows):
    truth, first, second = (np.array(column) for column in zip(*rows, strict=True))
    return truth, first / 4, second / 4


def slow_auc(truth, scores):
    there, rest = scores[truth == 1], scores[truth != 1]
    return np.mean([(a > b) + (a == b) / 2 for a, b in product(there, rest)])


@given(ROWS)
def test_auc_is_the_share_of_pairs_ranked_rightly(rows):
    truth, scores, _ = columns(rows)
    if len(set(truth)) < 2:
        with pytest.raises(DataError, match="AUC needs rows of class 1 and of others"):
            figure_of("auc", truth, scores)
        return
    assert figure_of("auc", truth, scores) == pytest.approx(slow_auc(truth, scores))


@given(ROWS)
def test_delong_agrees_with_its_definition(rows):
    truth, first, second = columns(rows)
    if min((truth == 1).sum(), (truth == 0).sum()) < 2:
        return
    found = gain("auc", truth, first, second)
    shares = []
    for scores in (first, second):
        there, rest = scores[truth == 1], scores[truth == 0]
        wins = (there[:, None] > rest) + (there[:, None] == rest) / 2
        shares.append((wins.mean(axis=1), wins.mean(axis=0)))
    by_class = [one - two for one, two in zip(*shares, strict=True)]
    parts = [part.var(ddof=1) / len(part) for part in by_class]
    assert found.value == pytest.approx(slow_auc(truth, first) - slow_auc(truth, second))
    half = 0.0
    if sum(parts):
        free = [part**2 / (len(each) - 1) for part, each in zip(parts, by_class, strict=True)]
        half = student_quantile(0.95, int(sum(parts) ** 2 / sum(free))) * math.sqrt(sum(parts))
    assert found.high - found.value == pytest.approx(min(half, 1 - found.value))


def test_of_a_class_of_one_row_auc_has_no_interval() -> None:
    truth, scores = np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    assert figure_interval("auc", truth, scores).low == 0.0
    ahead = gain("auc", truth, scores, -scores)
    assert (ahead.value, ahead.low, ahead.high) == (1.0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("level", "degrees", "expected"),
    [(0.95, 1, 12.7062), (0.95, 2, 4.3027), (0.95, 5, 2.5706), (0.99, 10, 3.1693),
     (0.99, 1000, 2.5808), (0.95, 10**6, 1.95996)],
)  # fmt: skip
def test_students_quantiles_are_those_of_the_tables(level, degrees, expected) -> None:
    assert student_quantile(level, degrees) == pytest.approx(expected, abs=1e-4)


@given(ROWS, st.sampled_from(sorted(METRICS)))
@example([(1, 4, 0), (1, 0, 4), (0, 4, 0), (0, 0, 4)], "f1")
def test_exchanging_the_models_turns_the_gain_round(rows, metric):
    truth, first, second = columns(rows)
    if metric in ("accuracy", "precision", "recall", "f1"):
        first, second = (first > 0.4).astype(int), (second > 0.4).astype(int)
    if metric == "auc" and len(set(truth)) < 2:
        return
    there, back = gain(metric, truth, first, second), gain(metric, truth, second, first)
    assert (there.value, there.low, there.high) == pytest.approx(
        (-back.value, -back.high, -back.low)
    )
    assert there.low <= there.high


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows, random):
    mixed = list(rows)
    random.shuffle(mixed)
    for metric in ("f1", "accuracy", "brier"):
        one, two = (
            gain(metric, truth, first.round().astype(int), second.round().astype(int))
            for truth, first, second in (columns(rows), columns(mixed))
        )
        assert (one.low, one.high) == pytest.approx((two.low, two.high))


@pytest.mark.parametrize(
    ("one", "two"), [(0, 0), (3, 1), (0, 6), (10, 10), (400, 300), (900, 1200)]
)
def test_mcnemar_is_a_fair_coin(one, two):
    rows, fewer = one + two, min(one, two)
    tail = sum(math.comb(rows, k) for k in range(fewer + 1))
    assert mcnemar(one, two) == pytest.approx(min(1.0, float(2 * tail / 2**rows)))


def test_the_drawn_cells_are_the_plain_bootstrap():
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 3, 400)
    first = np.where(generator.random(400) < 0.8, truth, generator.integers(0, 3, 400))
    second = np.where(generator.random(400) < 0.7, truth, generator.integers(0, 3, 400))
    for metric in ("f1", "precision", "recall", "accuracy"):
        found = difference_interval(truth, first, second, metric=metric, draws=4000)
        plain = []
        for _ in range(1000):
            rows = generator.integers(0, 400, 400)
            one, two = (score_binary(truth[rows], each[rows]) for each in (first, second))
            plain.append(getattr(one, metric) - getattr(two, metric))
        low, high = np.quantile(plain, [0.025, 0.975])
        assert found.low == pytest.approx(low, abs=0.012)
        assert found.high == pytest.approx(high, abs=0.012)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "auc", "brier"])
def test_intervals_hold_the_true_gain_as_often_as_they_say(metric):
    generator = np.random.default_rng(11)

    def draw(rows):
        truth = (generator.random(rows) < 0.4).astype(int)
        shared = generator.normal(size=rows)
        scores = [
            1 / (1 + np.exp(-(skill * (2 * truth - 1) + shared + generator.normal(size=rows))))
            for skill in (1.2, 0.9)
        ]
        if metric in ("accuracy", "f1"):
            return truth, *((each > 0.5).astype(int) for each in scores)
        return truth, *scores

    true_gain = gain(metric, *draw(400_000)).value
    held = [gain(metric, *draw(300)) for _ in range(300)]
    share = np.mean([each.low <= true_gain <= each.high for each in held])
    assert 0.91 <= share <= 0.985  # 95 % of 300, give or take three standard errors


def test_losses_turn_so_that_more_is_better():
    assert gain("mae", [1.0, 2.0], [1.0, 2.0], [2.0, 2.5]).value == pytest.approx(0.75)
    assert gain("mse", [1.0, 2.0], [2.0, 2.0], [1.0, 2.0]).value == pytest.approx(-0.5)
    assert figure_of("log_loss", [1, 0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert math.isfinite(figure_of("log_loss", [1], [0.0]))


def test_who_is_right_alone():
    assert right_alone([1, 0, 1, 1], [1, 0, 0, 0], [0, 1, 1, 0]) == (2, 1)


def test_what_cannot_be_compared():
    with pytest.raises(UsageError, match="unknown metric 'rmse'"):
        figure_of("rmse", [1], [1])
    with pytest.raises(DataError, match="expected two equally long"):
        gain("accuracy", [1, 0], [1], [1, 0])


def answered(metric, rows, generator):
    """Rows of a model whose figure is the same in expectation, whatever the draw."""
    truth = (generator.random(rows) < 0.4).astype(int)
    score = np.clip(0.3 * truth + generator.random(rows) * 0.7, 0, 1)
    if metric in NUMBER_METRICS:
        return truth, score
    return (truth, score) if metric in SCORE_METRICS else (truth, (score > 0.5).astype(int))


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_of_one_figure_holds_the_truth_about_as_often_as_it_says(metric):
    generator = np.random.default_rng(5)
    whole = figure_of(metric, *answered(metric, 200_000, generator))
    inside = 0
    for _ in range(200):
        rows = answered(metric, 300, generator)
        found = figure_interval(metric, *rows)
        assert found.value == pytest.approx(figure_of(metric, *rows))
        assert found.low <= found.value <= found.high
        inside += found.low <= whole <= found.high
    assert 0.9 <= inside / 200 <= 0.99


def test_an_interval_of_cells_is_that_of_rows():
    generator = np.random.default_rng(6)
    truth, said = answered("f1", 400, generator)
    plain = score_intervals(truth, said, metrics=["f1"])["f1"]
    drawn = figure_interval("f1", truth, said)
    assert drawn.value == plain.value
    assert (drawn.low, drawn.high) == pytest.approx((plain.low, plain.high), abs=0.01)
