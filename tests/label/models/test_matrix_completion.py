from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.matrix_completion import (
    Completion,
    MatrixCompletion,
    matched,
    start_of,
)
from gristmill.label.models.together import count_together
from gristmill.label.votes import Votes

Floats = NDArray[np.float64]

FOUR = Votes.from_matrix([[0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1]])
matrices = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 8), st.integers(1, 3)), elements=st.integers(-1, 1)
)


def one_hot(matrix: NDArray[np.int8], classes: int) -> Floats:
    cells = matrix[:, :, None] == np.arange(classes)
    return cells.reshape(len(matrix), matrix.shape[1] * classes).astype(float)


def slow_loss(mu: Floats, start: Floats, dense: Floats, balance: Floats, l2: float) -> float:
    """Cell by cell, over all pairs of source and class, whether they occur or not."""
    classes, together = len(balance), dense.T @ dense / len(dense)
    loss = 0.0
    for a in range(len(mu)):
        for b in range(len(mu)):
            if a // classes != b // classes:
                loss += (together[a, b] - sum(mu[a] * balance * mu[b])) ** 2
        loss += (sum(mu[a] * balance) - together[a, a]) ** 2
        loss += sum((l2 * (mu[a] - start[a])) ** 2)
    return loss


def slow_descent(
    dense: Floats, start: Floats, scale: float, balance: Floats, l2: float, epochs: int
) -> Floats:
    """Steps along differences of the loss, with momentum."""
    mu, step, tiny = scale * start, np.zeros_like(start), 1e-6
    for _ in range(epochs):
        slope = np.zeros_like(mu)
        for cell in np.ndindex(*mu.shape):
            up, down = mu.copy(), mu.copy()
            up[cell] += tiny
            down[cell] -= tiny
            slope[cell] = slow_loss(up, start, dense, balance, l2) - slow_loss(
                down, start, dense, balance, l2
            )
        step = 0.9 * step + slope / (2 * tiny) + l2 * mu
        mu = mu - 0.01 * step
    return mu


@settings(max_examples=15, deadline=None)
@given(matrices, st.sampled_from([0.0, 0.3]), st.floats(0.2, 0.8), st.floats(0.1, 1))
def test_fast_equals_slow(matrix: NDArray[np.int8], l2: float, share: float, scale: float) -> None:
    balance = np.array([share, 1 - share])
    together = count_together(matrix, 2)
    place = together.source * 2 + together.label
    start = start_of(together, balance, np.full(len(place), 0.7))
    fast = Completion.of(together, balance, start, l2)
    full = np.zeros((matrix.shape[1] * 2, 2))
    full[place] = start
    slow = slow_descent(one_hot(matrix, 2), full, scale, balance, l2, 6)
    found = fast.descend(scale, 0.01, 6)
    np.testing.assert_allclose(found, slow[place], atol=1e-7)
    unseen = np.setdiff1d(np.arange(len(full)), place)
    np.testing.assert_allclose(slow[unseen], 0, atol=1e-7)
    assert fast.loss(found) == pytest.approx(
        slow_loss(slow, full, one_hot(matrix, 2), balance, l2), abs=1e-7
    )


def test_how_often_votes_come_together() -> None:
    together = count_together(FOUR.matrix, 2)
    shares = together.dense() / 4
    assert shares[0].tolist() == [3 / 4, 0, 0, 3 / 4, 1 / 2, 1 / 4]
    problem = Completion.of(together, np.full(2, 0.5), np.zeros((6, 2)), 0.0)
    assert problem.seen[0].tolist() == [0, 0, 1, 1, 1, 1]
    assert (problem.target[problem.seen == 0] == 0).all()


@pytest.mark.parametrize(("balance", "expected"), [([0.6, 0.4], 0.875), ([0.3, 0.7], 0.5)])
def test_where_the_descent_starts(balance: list[float], expected: float) -> None:
    together = count_together(np.array([[0, 1, 0], [0, -1, 0]], np.int8), 2)
    start = start_of(together, np.array(balance), np.full(3, 0.7))
    assert together.label.tolist() == [0, 1, 0]
    np.testing.assert_allclose(start, [[1, 0], [0, expected], [1, 0]])


def test_a_vote_never_given_is_as_rare_as_the_floor() -> None:
    model = MatrixCompletion(2, floor=0.0123).fit(Votes.from_matrix([[0, 1, 0], [0, -1, 0]]))
    assert model.conditional[0, 1].tolist() == pytest.approx([0.0123, 0.0123])
    assert model.conditional[1, 0].tolist() == pytest.approx([0.0123, 0.0123])
    for rows, floor in ((50, 0.01), (101, 0.001), (1000, 0.001)):
        model = MatrixCompletion(2).fit(Votes.from_matrix([[0, 0, 0]] * rows))
        assert model.conditional[:, 1].max() == pytest.approx(floor)


def test_columns_of_equal_share_are_matched_to_classes() -> None:
    votes = np.array([[0.1, 0.2, 0.9], [0.8, 0.1, 0.3], [0.3, 0.7, 0.2]])
    assert matched(votes, np.full(3, 1 / 3)).tolist() == [2, 0, 1]
    assert matched(votes, np.array([0.2, 0.3, 0.5])).tolist() == [0, 1, 2]
    assert matched(votes, np.array([0.4, 0.2, 0.4])).tolist() == [2, 1, 0]


def generated(rows: int, sources: int, abstain: float, seed: int) -> tuple[Any, Any, Any]:
    """Votes of random conditional tables whose diagonal is raised, and the tables."""
    rng = np.random.default_rng(seed)
    tables = np.empty((sources, 3, 2))
    for table in tables:
        table[:] = rng.random((3, 2))
        table[1:] += np.eye(2)
        table[0] *= abstain
        table /= table.sum(axis=0)
    truth = rng.integers(0, 2, rows)
    edges = tables.cumsum(axis=1)
    draws = rng.random((rows, sources))
    matrix = np.array(
        [(draws[:, j, None] > edges[j][:, truth].T).sum(axis=1) - 1 for j in range(sources)]
    ).T
    return np.minimum(matrix, 1), truth, tables


def test_tables_are_recovered() -> None:
    matrix, truth, tables = generated(10_000, 10, 1.0, 123)
    model = MatrixCompletion(2, epochs=200).fit(Votes.from_matrix(matrix))
    assert np.abs(model.conditional[:, :2] - tables[:, 1:]).mean() < 0.01
    probs = model.predict_proba(Votes.from_matrix(matrix))
    assert (probs.argmax(axis=1) == truth).mean() >= 0.9


def test_where_nearly_all_abstain_voted_rows_still_have_a_label() -> None:
    matrix, truth, _ = generated(10_000, 10, 1000.0, 123)
    votes = Votes.from_matrix(matrix, classes=2)
    labels = MatrixCompletion(2, epochs=200).fit(votes).predict(votes).table["label"].to_numpy()
    assert (labels[votes.covered] == truth[votes.covered]).mean() >= 0.65
    single = (matrix >= 0).sum(axis=1) == 1
    assert (labels[single] >= 0).all()
    assert (labels[~votes.covered] == -1).all()


def test_accuracies_are_near_the_truth(draw: Callable[..., Any]) -> None:
    accuracies = [0.95, 0.6, 0.7, 0.55, 0.8]
    drawn = draw(1000, accuracies, [0.7] * 5)
    told = MatrixCompletion(2, epochs=1000).fit(drawn.votes).sources
    np.testing.assert_allclose(told["accuracy"], accuracies, atol=0.1)
    np.testing.assert_allclose(told["coverage"], (drawn.matrix >= 0).mean(axis=0), atol=0.02)


def test_degenerate_votes() -> None:
    ties = Votes.from_matrix([[-1, 1, 0], [0, -1, 1], [1, 0, -1]])
    assert MatrixCompletion(2).fit(ties).predict(ties).table["label"].to_list() == [-1, -1, -1]
    clear = Votes.from_matrix([[-1, -1, 1], [-1, 1, -1], [0, -1, -1]])
    assert MatrixCompletion(2).fit(clear).predict(clear).table["label"].to_list() == [1, 1, 0]
    mixed = Votes.from_matrix([[1, 1, 0], [-1, -1, -1], [1, 0, 1]])
    assert MatrixCompletion(2).fit(mixed).predict(mixed).table["label"].to_list() == [1, -1, 1]


def test_the_scale_matters_less_with_every_epoch(draw: Callable[..., Any]) -> None:
    votes = draw(500, [0.8, 0.7, 0.9, 0.6], [0.6] * 4).votes

    def between(epochs: int) -> float:
        low, high = (
            MatrixCompletion(2, epochs=epochs, scale=scale).fit(votes).predict_proba(votes)
            for scale in (0.3, 0.9)
        )
        return float(np.abs(low - high).max())

    assert between(3000) < between(300) < between(30)
    assert between(3000) < 0.01


def test_one_or_two_sources_stay_near_the_precision() -> None:
    votes = Votes.from_matrix([[0], [1]] * 50)
    for precision in (0.6, 0.9):
        model = MatrixCompletion(2, precision=precision, scale=1.0).fit(votes)
        assert model.predict_proba(votes)[0, 0] > 0.6
    two = Votes.from_matrix([[0, 0], [1, -1]] * 50)
    assert MatrixCompletion(2).fit(two).predict(two).table["label"].to_list()[:2] == [0, 1]


def test_gold_makes_the_balance_and_nothing_else(draw: Callable[..., Any]) -> None:
    votes = draw(200, [0.8] * 4, [0.6] * 4).votes
    gold = {row: int(row >= 6) for row in range(10)}
    model = MatrixCompletion(2).fit(votes, gold)
    assert model.describe()["balance"] == pytest.approx([7 / 12, 5 / 12])
    same = MatrixCompletion(2, prior=[7 / 12, 5 / 12]).fit(votes)
    np.testing.assert_allclose(model.predict_proba(votes), same.predict_proba(votes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": [0.0, 1.0]}, "^expected a prior of 2 probabilities above 0"),
        ({"prior": [0.2, 0.3, 0.5]}, "^expected a prior of 2 probabilities above 0"),
        ({"precision": [0.7]}, "^expected a precision for each of 3 sources, found 1$"),
        ({"precision": 1.2}, "^expected precision from 0 to 1, found 1.2$"),
        ({"l2": -1.0}, "^expected an l2 of 0 or above, found -1.0$"),
        ({"rate": 0.0}, "^expected a rate above 0, found 0.0$"),
        ({"epochs": 0}, "^expected at least one epoch, found 0$"),
        ({"floor": 0.5}, "^expected a floor between 0 and 0.5, found 0.5$"),
        ({"scale": 2.0}, "^expected a scale from 0 to 1, found 2.0$"),
        ({"rate": 1e8}, r"^the loss is not finite after 100 epochs\n.*lower rate=1e\+08"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        MatrixCompletion(2, **options).fit(FOUR)
