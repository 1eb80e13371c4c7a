from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models import em
from gristmill.label.models.dawid_skene import Climb, DawidSkene, climb
from gristmill.label.models.emission import Tied, free
from gristmill.label.models.patterns import Patterns
from gristmill.label.votes import Votes

Floats = NDArray[np.float64]
EMISSIONS = ["accuracy", "class", "confusion"]
each_emission = pytest.mark.parametrize("emission", EMISSIONS)

matrices = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 10), st.integers(1, 4)), elements=st.integers(-1, 2)
)


def problem(
    matrix: NDArray[np.int8], gold: NDArray[np.int64], balance: Floats, abstention: bool
) -> tuple[Patterns, em.Evidence, em.Settings]:
    patterns = Patterns.of(matrix, len(balance))
    answers = np.array([[(c == y).sum() for y in (0, 1, 2, -1)] for c in matrix.T], float)
    chosen = em.Settings(
        np.log(balance),
        em.prior_counts(answers, balance, 0.7, 0.5),
        np.ones(matrix.shape[1]),
        abstention,
    )
    known = 2.0 * patterns.count_by_class(gold)
    return patterns, em.Evidence(patterns.count(gold < 0), known), chosen


def slow_climb(
    matrix: NDArray[np.int8],
    gold: NDArray[np.int64],
    chosen: em.Settings,
    maximise: Callable[[Floats], Floats],
    estimate: bool,
    rounds: int,
) -> tuple[Floats, Floats, Floats]:
    """Row by row, in plain probabilities; return emission, posterior and balance."""
    balance = np.exp(chosen.log_prior)

    def posterior(given: Floats) -> Floats:
        probs = np.zeros((len(matrix), 3))
        for row, votes in enumerate(matrix):
            for y in range(3):
                probs[row, y] = balance[y]
                for source, vote in enumerate(votes):
                    if vote >= 0 or chosen.abstention:
                        probs[row, y] *= given[source, vote, y]
            probs[row] /= probs[row].sum()
        return probs

    given = np.exp(maximise(chosen.pseudo))
    probs = posterior(given)
    for _ in range(rounds):
        counts, rows = chosen.pseudo.copy(), np.ones(3)
        for row, votes in enumerate(matrix):
            weight = 2.0 * np.eye(3)[gold[row]] if gold[row] >= 0 else probs[row]
            rows += weight
            for source, vote in enumerate(votes):
                counts[source, vote] += weight
        if estimate:
            balance = rows / rows.sum()
        given = np.exp(maximise(counts))
        probs = posterior(given)
    return given, probs, balance


@settings(max_examples=25, deadline=None)
@given(
    matrices,
    st.sampled_from(EMISSIONS),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_fast_equals_slow(
    matrix: NDArray[np.int8], emission: str, abstention: bool, estimate: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    gold = np.where(rng.random(len(matrix)) < 0.3, rng.integers(0, 3, len(matrix)), -1)
    patterns, evidence, chosen = problem(matrix, gold, rng.dirichlet([3, 3, 3]), abstention)

    def maximise() -> Callable[[Floats], Floats]:
        return free if emission == "confusion" else Tied.start(chosen.pseudo, emission == "class")

    fast = climb(patterns, evidence, chosen, maximise(), estimate)
    assume(fast.rounds <= 60)  # long climbs in flat places carry rounding errors along
    given, probs, balance = slow_climb(
        matrix, gold, chosen, maximise(), estimate, len(fast.history)
    )
    np.testing.assert_allclose(np.exp(fast.log_emission), given, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(fast.posterior[patterns.of_row], probs, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(np.exp(fast.settings.log_prior), balance, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(matrices, st.sampled_from(EMISSIONS), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_objective_never_falls(
    matrix: NDArray[np.int8], emission: str, estimate: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    gold = np.where(rng.random(len(matrix)) < 0.3, rng.integers(0, 3, len(matrix)), -1)
    patterns, evidence, chosen = problem(matrix, gold, np.full(3, 1 / 3), True)
    maximise = free if emission == "confusion" else Tied.start(chosen.pseudo, emission == "class")
    found: Climb = climb(patterns, evidence, chosen, maximise, estimate)
    assert (np.diff(found.history) > -1e-9 * abs(found.history[0])).all()


def test_without_options_it_is_the_fit_of_em(draw: Callable[..., Any]) -> None:
    drawn = draw(400, [0.9, 0.6, 0.7], [0.7] * 3, classes=3)
    unknown = np.full(400, -1)
    patterns, evidence, chosen = problem(drawn.matrix, unknown, np.full(3, 1 / 3), False)
    ours = climb(patterns, evidence, chosen, free, False)
    theirs = em.fit(patterns, evidence, chosen)
    np.testing.assert_allclose(ours.posterior, theirs.posterior, atol=1e-6)


@each_emission
@pytest.mark.parametrize("abstention", [False, True])
def test_sources_are_recovered(emission: Any, abstention: bool, draw: Callable[..., Any]) -> None:
    accuracies = [0.9, 0.8, 0.7, 0.6, 0.85]
    drawn = draw(8000, accuracies, [0.6, 0.9, 0.5, 0.7, 0.8], classes=3)
    model = DawidSkene(3, emission=emission, abstention=abstention, strength=0.01)
    told = model.fit(drawn.votes).sources
    np.testing.assert_allclose(told["accuracy"], accuracies, atol=0.04)
    np.testing.assert_allclose(told["coverage"], (drawn.matrix >= 0).mean(axis=0), atol=0.02)
    assert model.fitted.facts["converged"] == 1.0


@each_emission
@pytest.mark.parametrize("abstention", [False, True])
def test_sources_that_vote_for_one_class_carry_evidence(emission: Any, abstention: bool) -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 4000)
    matrix = np.full((4000, 9), -1, np.int8)
    for source in range(9):
        target = source % 3
        rate = np.where(truth == target, 0.4, 0.03)
        matrix[:, source] = np.where(rng.random(4000) < rate, target, -1)
    votes = Votes.from_matrix(matrix, classes=3)
    probs = DawidSkene(3, emission=emission, abstention=abstention).fit(votes).predict_proba(votes)
    assert (probs.argmax(axis=1) == truth)[votes.covered].mean() > 0.85


@each_emission
def test_one_source_silent_sources_and_one_class(emission: Any) -> None:
    one = Votes.from_matrix([[0], [1], [-1]])
    probs = DawidSkene(2, emission=emission).fit(one).predict_proba(one)
    assert probs[0, 0] == pytest.approx(0.7, abs=0.05)
    assert probs.argmax(axis=1)[:2].tolist() == [0, 1]
    votes = Votes.from_matrix([[0, -1, 0], [0, -1, -1]], classes=3)
    probs = DawidSkene(3, emission=emission).fit(votes).predict_proba(votes)
    assert probs.argmax(axis=1).tolist() == [0, 0]
    assert np.isfinite(probs).all()


@each_emission
def test_hundreds_of_classes(emission: Any) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 300, 100)
    matrix = np.where(rng.random((100, 2)) < 0.8, truth[:, None], rng.integers(0, 300, (100, 2)))
    matrix[rng.random((100, 2)) < 0.2] = -1
    votes = Votes.from_matrix(matrix, classes=300)
    probs = DawidSkene(300, emission=emission, strength=10.0).fit(votes).predict_proba(votes)
    assert (probs.argmax(axis=1) == truth)[votes.covered].mean() > 0.75


def test_one_accuracy_needs_fewer_rows_than_a_matrix(draw: Callable[..., Any]) -> None:
    drawn = draw(60, [0.9, 0.5, 0.5, 0.5], [1.0] * 4, classes=6, seed=1)
    hits = {}
    for emission in ("accuracy", "confusion"):
        model = DawidSkene(6, emission=emission, strength=0.1)  # type: ignore[arg-type]
        probs = model.fit(drawn.votes).predict_proba(drawn.votes)
        hits[emission] = (probs.argmax(axis=1) == drawn.truth).mean()
    assert hits["accuracy"] > hits["confusion"]


def test_the_balance_is_given_or_of_gold_or_estimated(draw: Callable[..., Any]) -> None:
    drawn = draw(4000, [0.85] * 4, [0.9] * 4, balance=[0.8, 0.2])

    def balance(**options: Any) -> float:
        gold = {0: 0, 1: 0, 2: 0}
        model = DawidSkene(2, abstention=True, **options).fit(drawn.votes, gold)
        return model.describe()["balance"][0]  # type: ignore[index, no-any-return]

    assert balance(prior=[0.3, 0.7]) == pytest.approx(0.3)
    assert balance(prior="uniform") == 0.5
    assert balance() == pytest.approx(4 / 5)
    assert balance(prior="estimated", strength=0.05) == pytest.approx(0.8, abs=0.04)


def test_gold_turns_a_belief_around() -> None:
    votes = Votes.from_matrix([[0], [1]] * 50)
    gold = {row: 1 - row % 2 for row in range(20)}
    for emission in EMISSIONS:
        model = DawidSkene(2, emission=emission, gold_weight=100.0).fit(votes, gold)  # type: ignore[arg-type]
        assert model.predict_proba(votes).argmax(axis=1).tolist() == [1, 0] * 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"emission": "none"}, "^expected emission out of 'accuracy', 'class', 'confusion', found"),
        ({"prior": "guess"}, "^expected a prior out of gold, uniform, estimated, or 2 prob"),
        ({"accuracy": 0.4}, "^expected accuracy between 0.5 and 1, found 0.4$"),
        ({"strength": 0}, "^expected a strength above 0, found 0$"),
        ({"gold_weight": -1.0}, "^expected a gold weight above 0, found -1.0$"),
    ],
)
def test_arguments_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        DawidSkene(2, **options)
