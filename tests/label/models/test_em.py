from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.label.models import em
from gristmill.label.models.patterns import Patterns

Floats = NDArray[np.float64]


def problem(
    matrix: NDArray[np.int8],
    classes: int,
    gold: NDArray[np.int64] | None = None,
    *,
    abstention: bool = True,
    gold_weight: float = 1.0,
    strength: float = 1.0,
    balance: Floats | None = None,
    share: Floats | None = None,
) -> tuple[Patterns, em.Evidence, em.Settings]:
    patterns = Patterns.of(matrix, classes)
    known = np.full(len(matrix), -1) if gold is None else gold
    prior = np.full(classes, 1 / classes) if balance is None else balance
    answers = np.array(
        [[(column == said).sum() for said in (*range(classes), -1)] for column in matrix.T], float
    )
    chosen = em.Settings(
        np.log(prior),
        em.prior_counts(answers, prior, 0.7, strength),
        np.ones(matrix.shape[1]) if share is None else share,
        abstention,
    )
    evidence = em.Evidence(patterns.count(known < 0), gold_weight * patterns.count_by_class(known))
    return patterns, evidence, chosen


def slow_fit(
    matrix: NDArray[np.int8],
    gold: NDArray[np.int64],
    gold_weight: float,
    chosen: em.Settings,
    rounds: int,
) -> tuple[Floats, Floats]:
    """Row by row, source by source, in plain probabilities."""
    classes = len(chosen.log_prior)

    def posterior(emission: Floats) -> Floats:
        probs = np.zeros((len(matrix), classes))
        for row, votes in enumerate(matrix):
            for y in range(classes):
                p = np.exp(chosen.log_prior[y])
                for source, vote in enumerate(votes):
                    if vote < 0 and not chosen.abstention:
                        continue
                    p *= emission[source, vote, y] ** chosen.share[source]
                probs[row, y] = p
            probs[row] /= probs[row].sum()
        return probs

    def normalised(counts: Floats) -> Floats:
        return counts / counts.sum(axis=1, keepdims=True)

    emission = normalised(chosen.pseudo)
    probs = posterior(emission)
    for _ in range(rounds):
        counts = chosen.pseudo.copy()
        for row, votes in enumerate(matrix):
            told = gold[row] >= 0
            weight = gold_weight * np.eye(classes)[gold[row]] if told else probs[row]
            for source, vote in enumerate(votes):
                counts[source, vote] += weight
        emission = normalised(counts)
        probs = posterior(emission)
    return emission, probs


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(1, 10), st.integers(1, 4)), elements=st.integers(-1, 2)
    ),
    st.booleans(),
    st.sampled_from([1.0, 10.0]),
    st.integers(0, 2**32 - 1),
)
def test_fast_equals_slow(
    matrix: NDArray[np.int8], abstention: bool, gold_weight: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    gold = np.where(rng.random(len(matrix)) < 0.3, rng.integers(0, 3, len(matrix)), -1)
    patterns, evidence, chosen = problem(
        matrix, 3, gold,
        abstention=abstention, gold_weight=gold_weight,
        balance=rng.dirichlet([3, 3, 3]), share=rng.choice([0.5, 1.0], matrix.shape[1]),
    )  # fmt: skip
    fast = em.fit(patterns, evidence, chosen)
    emission, probs = slow_fit(matrix, gold, gold_weight, chosen, len(fast.history))
    np.testing.assert_allclose(np.exp(fast.log_emission), emission, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fast.posterior[patterns.of_row], probs, rtol=1e-6, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(2, 30), st.integers(1, 5)), elements=st.integers(-1, 1)
    ),
    st.floats(0.01, 2),
    st.integers(0, 2**32 - 1),
)
def test_the_objective_never_falls(matrix: NDArray[np.int8], strength: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold = np.where(rng.random(len(matrix)) < 0.2, rng.integers(0, 2, len(matrix)), -1)
    history = em.fit(*problem(matrix, 2, gold, strength=strength, gold_weight=3.0)).history
    assert (np.diff(history) > -1e-9 * np.abs(history[0])).all()


def test_accuracies_are_recovered(draw: Callable[..., Any]) -> None:
    accuracies = [0.9, 0.8, 0.7, 0.6, 0.85]
    drawn = draw(20_000, accuracies, [0.6, 0.9, 0.5, 0.7, 0.8])
    fit = em.fit(*problem(drawn.matrix, 2, strength=0.01))
    assert fit.converged
    emission = np.exp(fit.log_emission)
    right = np.einsum("jyy->j", emission[:, :2]) / emission[:, :2].sum(axis=(1, 2))
    np.testing.assert_allclose(right, accuracies, atol=0.02)


def test_sources_that_vote_for_one_class_carry_evidence() -> None:
    """Given that such a source voted, its vote is certain: all is in whether it votes."""
    truth = np.random.default_rng(1).integers(0, 2, 4000)
    rng = np.random.default_rng(2)
    matrix = np.full((4000, 6), -1, np.int8)
    for source in range(6):
        target = source % 2
        rate = np.where(truth == target, 0.4, 0.05)
        matrix[:, source] = np.where(rng.random(4000) < rate, target, -1)
    covered = (matrix >= 0).any(axis=1)
    for abstention in (False, True):
        patterns, evidence, chosen = problem(matrix, 2, abstention=abstention)
        fit = em.fit(patterns, evidence, chosen)
        told = fit.posterior[patterns.of_row].argmax(axis=1)
        assert (told == truth)[covered].mean() > 0.88


def test_gold_turns_a_belief_around() -> None:
    matrix = np.array([[0], [1]] * 50, np.int8)
    gold = np.where(np.arange(100) < 20, 1 - matrix[:, 0], -1)
    patterns, evidence, chosen = problem(matrix, 2, gold, gold_weight=100.0)
    posterior = em.fit(patterns, evidence, chosen).posterior[patterns.of_row]
    assert (posterior.argmax(axis=1) == 1 - matrix[:, 0]).all()


def test_the_prior_puts_balanced_sources_at_the_accuracy() -> None:
    counts = em.prior_counts(np.array([[30.0, 0.0, 70.0]]), np.array([0.5, 0.5]), 0.7, 1.0)
    assert counts.shape == (1, 3, 2)
    np.testing.assert_allclose(counts[0, 0], [30.5 * 0.7, 30.5 * 0.3])
    np.testing.assert_allclose(counts[0, 1], [0.5 * 0.3, 0.5 * 0.7])
    np.testing.assert_allclose(counts[0, 2], [35.25, 35.25])


def test_the_prior_never_makes_a_vote_speak_against_its_class() -> None:
    balance = np.array([0.95, 0.05])
    counts = em.prior_counts(np.array([[50.0, 0.0, 50.0]]), balance, 0.7, 1.0)[0]
    odds = (counts[0, 0] / counts[0, 1]) / (balance[0] / balance[1])
    assert odds == pytest.approx(0.7 / 0.3)


def test_no_probability_is_zero_or_lost() -> None:
    matrix = np.zeros((500, 60), np.int8)
    patterns, evidence, chosen = problem(matrix, 2)
    fit = em.fit(patterns, evidence, chosen)
    assert np.isfinite(fit.log_emission).all()
    assert np.isfinite(fit.posterior).all()
    np.testing.assert_allclose(np.exp(fit.log_emission).sum(axis=1), 1)
