from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.models.patterns import Patterns

CLASSES = 3
matrices = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.integers(-1, CLASSES - 1)
)


@given(matrices)
def test_patterns_give_back_the_rows(matrix: np.ndarray) -> None:
    patterns = Patterns.of(matrix, CLASSES)
    assert (patterns.votes[patterns.of_row] == matrix).all()
    assert len({tuple(row) for row in matrix.tolist()}) == len(patterns)
    assert patterns.count().sum() == len(matrix)


@given(matrices, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(matrix: np.ndarray, random: object) -> None:
    order = np.random.default_rng(random.randrange(2**32)).permutation(len(matrix))  # type: ignore[attr-defined]
    first, second = Patterns.of(matrix, CLASSES), Patterns.of(matrix[order], CLASSES)
    assert (first.votes == second.votes).all()
    assert (first.of_row[order] == second.of_row).all()


@given(matrices, st.integers(0, 2**32 - 1))
def test_sums_equal_those_over_dense_answers(matrix: np.ndarray, seed: int) -> None:
    patterns, rng = Patterns.of(matrix, CLASSES), np.random.default_rng(seed)
    answers = np.where(patterns.votes < 0, CLASSES, patterns.votes)
    weights = rng.random((len(patterns), CLASSES))
    table = rng.random((matrix.shape[1], CLASSES + 1, CLASSES))
    tally = np.zeros_like(table)
    added = np.zeros_like(weights)
    for row, line in enumerate(answers):
        for source, answer in enumerate(line):
            tally[source, answer] += weights[row]
            added[row] += table[source, answer]
    np.testing.assert_allclose(patterns.tally(weights), tally, atol=1e-12)
    np.testing.assert_allclose(patterns.add_up(table), added, atol=1e-12)


def test_counts_of_chosen_rows_and_by_class() -> None:
    patterns = Patterns.of(np.array([[0, -1], [1, 1], [0, -1]], np.int8), 2)
    place = patterns.of_row[0]
    assert patterns.count(np.array([True, True, False]))[place] == 1
    by_class = patterns.count_by_class(np.array([1, -1, 0]))
    assert by_class[place].tolist() == [1, 1]
    assert by_class.sum() == 2


def test_features_are_the_votes_that_occur() -> None:
    patterns = Patterns.of(np.array([[2, -1], [0, -1]], np.int8), 3)
    assert [(each.source, each.label) for each in patterns.features] == [(0, 0), (0, 2)]
    assert (patterns.labels_of(0), patterns.labels_of(1)) == ([0, 2], [])
    assert patterns.sources == 2


def test_wide_codes_work_too() -> None:
    matrix = np.array([[299, -1], [-1, 299], [299, -1]], np.int16)
    patterns = Patterns.of(matrix, 300)
    assert len(patterns) == 2
    assert (patterns.votes[patterns.of_row] == matrix).all()
