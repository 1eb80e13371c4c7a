from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.spans.bio import tag_count
from gristmill.label.spans.emission import Answers, prior_counts

CLASSES, STATES = 2, tag_count(2)
tags = hnp.arrays(
    np.int16, st.tuples(st.integers(2, 10), st.integers(1, 3)), elements=st.integers(0, STATES - 1)
)


def contexts(matrix: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Whether each source was in a span on the token before, one token after the other."""
    result = np.zeros_like(matrix)
    for token in range(1, len(matrix)):
        if token not in offsets:
            result[token] = matrix[token - 1] > 0
    return result


@given(tags, st.integers(0, 2**32 - 1))
def test_scores_and_tallies_equal_those_token_by_token(matrix: np.ndarray, seed: int) -> None:
    rng, sources = np.random.default_rng(seed), matrix.shape[1]
    offsets = np.array([0, len(matrix) // 2, len(matrix)])
    answers = Answers.of(matrix, offsets, CLASSES)
    context = contexts(matrix, offsets)
    logs = rng.normal(size=(sources, 2, STATES, STATES))
    weights = rng.random((len(matrix), STATES))
    scores, tally = np.zeros_like(weights), np.zeros_like(logs)
    for token in range(len(matrix)):
        for source in range(sources):
            cell = (source, context[token, source], matrix[token, source])
            scores[token] += answers.share[source] * logs[cell]
            tally[cell] += weights[token]
    np.testing.assert_allclose(answers.scores(logs)[answers.patterns.of_row], scores, atol=1e-9)
    np.testing.assert_allclose(answers.tally(answers.by_pattern(weights)), tally, atol=1e-9)
    assert answers.counts.sum() == matrix.size


@given(st.integers(1, 4), st.floats(0.1, 0.99))
def test_a_tag_is_believed_right_with_the_accuracy(classes: int, accuracy: float) -> None:
    states = tag_count(classes)
    counts = np.full((1, 2, states), 100.0)
    pseudo = prior_counts(counts, np.full(states, 1000.0), accuracy, 0.9)
    assert (pseudo > 0).sum() >= states
    given_tag = pseudo[0, 0, 1:] / pseudo[0, 0, 1:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.diag(given_tag[:, 1:]), accuracy)
    ends = pseudo[0, 1, 0] / pseudo[0, 1, 0].sum()
    assert ends[0] == pytest.approx(0.9)


def test_the_source_that_finds_most_speaks_alone() -> None:
    matrix = np.zeros((12, 2), np.int16)
    matrix[::2, 1] = 1
    answers = Answers.of(matrix, np.array([0, 12]), 1)
    logs, log_move = np.zeros((2, 2, 3, 3)), np.zeros((3, 3))
    logs[0, 0, 0, 1], logs[1, 0, 1, 1], log_move[0, 1] = -1.0, 3.0, -0.5
    assert answers.solo_odds(logs, log_move, 0) == pytest.approx(1.5)
    matrix[:] = 0
    assert Answers.of(matrix, np.array([0, 12]), 1).solo_odds(logs, log_move, 0) is None
