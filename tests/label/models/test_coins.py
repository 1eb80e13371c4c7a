from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.label.models import em
from gristmill.label.models.coins import Belief, Coins, pseudo_totals
from gristmill.label.models.emission import Tied
from gristmill.label.models.patterns import Patterns

Floats = NDArray[np.float64]
BELIEF = Belief(None, 0.7, 0.4)
MATRICES = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 25), st.integers(1, 4)), elements=st.integers(-1, 2)
)


def slow_fit(
    matrix: NDArray[np.int8],
    balance: Floats,
    share: Floats,
    abstention: bool,
    rounds: int,
    even: float | None,
) -> tuple[Floats, Floats]:
    """Row by row with whole tables: the emissions of `Tied`, and sums over all sources."""
    classes, sources = len(balance), matrix.shape[1]
    answers = np.array(
        [[(column == said).sum() for said in (*range(classes), -1)] for column in matrix.T], float
    )

    def posterior(logs: Floats) -> Floats:
        scores = np.tile(np.log(balance), (len(matrix), 1))
        for row, votes in enumerate(matrix):
            for source, vote in enumerate(votes):
                if vote >= 0 or abstention:
                    scores[row] += share[source] * logs[source, vote]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    pseudo = em.prior_counts(answers, balance, BELIEF.accuracy, BELIEF.strength)
    tied = Tied.start(pseudo, by_class=False)
    probs = posterior(tied(pseudo))
    for _ in range(rounds):
        if even is not None:
            balance = (probs.sum(axis=0) + even / classes) / (len(matrix) + even)
            pseudo = em.prior_counts(answers, balance, BELIEF.accuracy, BELIEF.strength)
        counts = pseudo.copy()
        for row, votes in enumerate(matrix):
            for source in range(sources):
                counts[source, votes[source]] += probs[row]
        probs = posterior(tied(counts))
    return probs, balance


@settings(deadline=None, max_examples=40)
@given(MATRICES, st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_the_fit_is_that_of_whole_tables(
    matrix: NDArray[np.int8], abstention: bool, estimated: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    balance, share = rng.dirichlet(np.full(3, 5.0)), rng.uniform(0.2, 1.0, matrix.shape[1])
    patterns = Patterns.of(matrix, 3)
    even = 2.0 if estimated else None
    fit = Coins(patterns, patterns.count(), share).fit(
        BELIEF, balance, abstention=abstention, even=even
    )
    wanted, ends_at = slow_fit(matrix, balance, share, abstention, fit.rounds, even)
    np.testing.assert_allclose(fit.posterior[patterns.of_row], wanted, atol=1e-7)
    np.testing.assert_allclose(np.exp(fit.log_prior), ends_at, atol=1e-9)


@given(MATRICES, st.integers(0, 2**16))
def test_the_belief_is_the_totals_of_its_table(matrix: NDArray[np.int8], seed: int) -> None:
    balance = np.random.default_rng(seed).dirichlet(np.full(3, 5.0))
    patterns = Patterns.of(matrix, 3)
    answers = Coins(patterns, patterns.count(), np.ones(matrix.shape[1])).answers
    for source, column in enumerate(matrix.T):
        counted = [(column == said).sum() for said in (0, 1, 2, -1)]
        assert answers[source].tolist() == counted
    table = em.prior_counts(answers, balance, BELIEF.accuracy, BELIEF.strength)
    said, right, rows = pseudo_totals(answers, balance, BELIEF)
    np.testing.assert_allclose(said, table.sum(axis=2))
    np.testing.assert_allclose(right[:, 0], np.einsum("jyy->j", table[:, :-1]))
    np.testing.assert_allclose(rows, table.sum(axis=1))


@given(MATRICES)
def test_the_log_likelihood_is_that_of_the_votes(matrix: NDArray[np.int8]) -> None:
    patterns = Patterns.of(matrix, 3)
    fit = Coins(patterns, patterns.count(), np.ones(matrix.shape[1])).fit(
        BELIEF, np.full(3, 1 / 3), abstention=True
    )
    emission = np.exp(fit.log_emission)
    np.testing.assert_allclose(emission.sum(axis=1), 1.0)
    wanted = 0.0
    for votes in matrix:
        given_class = [
            np.prod([emission[source, vote, y] for source, vote in enumerate(votes)]) / 3
            for y in range(3)
        ]
        wanted += np.log(sum(given_class))
    assert fit.log_likelihood == pytest.approx(wanted)


def test_hundreds_of_classes_need_no_large_tables() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 200, 4000)
    matrix = np.full((4000, 200), -1, np.int16)
    for source in range(200):
        matrix[(truth == source) & (rng.random(4000) < 0.7), source] = source
        matrix[rng.random(4000) < 0.002, source] = source
    patterns = Patterns.of(matrix, 200)
    fit = Coins(patterns, patterns.count(), np.ones(200)).fit(
        BELIEF, np.full(200, 1 / 200), abstention=False
    )
    decided = (matrix >= 0).sum(axis=1) == 1
    found = fit.posterior[patterns.of_row].argmax(axis=1)
    assert (found == matrix.max(axis=1))[decided].all()
    assert (found == truth)[decided].mean() > 0.8
