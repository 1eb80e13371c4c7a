from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.together import count_together
from gristmill.label.models.triplets import Triplets, lift, signed_moments, solve
from gristmill.label.votes import Votes

each_way = pytest.mark.parametrize(
    "options",
    [{"moments": m, "average": a} for m in ("raw", "centred") for a in ("median", "mean")],
    ids=lambda options: "-".join(options.values()),
)
matrices = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 12), st.integers(3, 5)), elements=st.integers(-1, 2)
)


def slow_solve(
    moments: NDArray[np.float64], usable: NDArray[np.bool_], average: Callable[..., Any]
) -> list[float]:
    """Triplet by triplet."""
    size = len(moments)
    found = []
    for a in range(size):
        estimates = [
            abs(moments[a, b] * moments[a, c] / moments[b, c]) ** 0.5
            for b, c in combinations([i for i in range(size) if i != a], 2)
            if usable[a, b] and usable[a, c] and usable[b, c] and moments[b, c]
        ]
        found.append(float(average(estimates)) if estimates else np.nan)
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([np.median, np.mean]))
def test_fast_equals_slow(seed: int, size: int, average: Callable[..., Any]) -> None:
    rng = np.random.default_rng(seed)
    moments = rng.integers(-3, 4, (size, size)) / 4
    moments = moments + moments.T
    usable = rng.random((size, size)) < 0.8
    usable &= usable.T
    fast = solve(moments, usable, lambda estimates: float(average(estimates)))
    np.testing.assert_allclose(fast, slow_solve(moments, usable, average))


@settings(max_examples=40, deadline=None)
@given(matrices, st.integers(0, 2))
def test_moments_are_mean_products_of_signed_votes(matrix: NDArray[np.int8], label: int) -> None:
    moments, met = signed_moments(count_together(matrix, 3), label)
    signed = np.where(matrix < 0, 0, np.where(matrix == label, 1.0, -1.0))
    np.testing.assert_allclose(moments, signed.T @ signed / len(matrix), atol=1e-12)
    voted = (matrix >= 0).astype(float)
    np.testing.assert_allclose(met, voted.T @ voted)


@each_way
def test_accuracies_are_recovered(options: Any, draw: Callable[..., Any]) -> None:
    accuracies = [0.9, 0.8, 0.7, 0.65, 0.85]
    drawn = draw(40_000, accuracies, [0.6, 0.9, 0.5, 0.7, 0.8])
    table = np.exp(Triplets(2, **options).fit(drawn.votes).fitted.table[:, :-1])
    for label in range(2):
        told = table[:, label, label] / table[:, label].sum(axis=1)
        np.testing.assert_allclose(told, accuracies, atol=0.03)


@each_way
def test_many_classes(options: Any, draw: Callable[..., Any]) -> None:
    drawn = draw(6000, [0.9, 0.6, 0.5, 0.7, 0.5], [0.8] * 5, classes=4)
    probs = Triplets(4, **options).fit(drawn.votes).predict_proba(drawn.votes)
    assert (probs.argmax(axis=1) == drawn.truth)[drawn.votes.covered].mean() > 0.74


def test_centred_moments_learn_from_sources_that_vote_for_one_class() -> None:
    """Given its class, such a source votes at one rate; given the other, at another."""
    rng = np.random.default_rng(0)
    truth = rng.choice(2, 60_000, p=[0.7, 0.3])
    matrix = np.full((60_000, 5), -1, np.int8)
    rates = [(0.5, 0.1), (0.4, 0.05), (0.3, 0.1), (0.6, 0.2), (0.35, 0.1)]
    for source, (hit, miss) in enumerate(rates):
        says = rng.random(60_000) < np.where(truth == source % 2, hit, miss)
        matrix[says, source] = source % 2
    votes = Votes.from_matrix(matrix, classes=2)
    table = np.exp(Triplets(2, prior=[0.7, 0.3]).fit(votes).fitted.table)
    found = [(table[j, j % 2, j % 2], table[j, j % 2, 1 - j % 2]) for j in range(5)]
    np.testing.assert_allclose(found, rates, atol=0.03)


def test_the_balance_is_given_or_of_gold(draw: Callable[..., Any]) -> None:
    votes = draw(200, [0.8] * 3, [0.8] * 3).votes
    assert Triplets(2).fit(votes).describe()["balance"] == pytest.approx([0.5, 0.5])
    assert Triplets(2).fit(votes, {0: 0}).describe()["balance"] == pytest.approx([2 / 3, 1 / 3])
    given = Triplets(2, prior=[0.2, 0.8]).fit(votes).describe()
    assert given["balance"] == pytest.approx([0.2, 0.8])


@each_way
def test_sources_in_no_triplet_are_believed_to_be_at_the_accuracy(options: Any) -> None:
    votes = Votes.from_matrix([[0, -1, -1], [-1, 1, -1], [1, -1, -1], [-1, 0, -1]] * 10)
    model = Triplets(2, accuracy=0.8, **options).fit(votes)
    odds = model.fitted.table[0, 0, 0] - model.fitted.table[0, 0, 1]
    assert np.exp(odds) == pytest.approx(4, rel=0.05)
    assert np.isfinite(model.fitted.table).all()


def test_believed_lift_keeps_the_odds() -> None:
    assert 0.5 + lift(0.8, 2, 0.5) * 0.25 == pytest.approx(0.8)
    posterior = 0.1 + lift(0.8, 2, 0.1) * 0.09
    assert posterior / (1 - posterior) == pytest.approx(4 * 0.1 / 0.9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"moments": "odd"}, "^expected moments out of centred, raw, found 'odd'$"),
        ({"average": "mode"}, "^expected average out of median, mean, found 'mode'$"),
        ({"prior": "estimated"}, "^expected a prior out of gold, uniform, or 2 probabilities"),
        ({"accuracy": 1}, "^expected accuracy between 0.5 and 1, found 1$"),
    ],
)
def test_arguments_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        Triplets(2, **options)


def test_two_sources_make_no_triplet() -> None:
    with pytest.raises(
        LabelError, match=r"^expected 3 sources or more to make triplets of, found 2\n"
    ):
        Triplets(2).fit(Votes.from_matrix([[0, 1]]))
