from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.ordinal.grades import median_grade, spread_of, vote_median

K = 4
matrices = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=st.integers(-1, K - 1)
)


@given(st.integers(0, 2**32 - 1))
def test_the_median_has_the_least_expected_error(seed: int) -> None:
    probs = np.random.default_rng(seed).dirichlet(np.full(K, 0.5), 20)
    steps = np.arange(K)
    errors = np.stack([(probs * np.abs(steps - grade)).sum(axis=1) for grade in steps], axis=1)
    chosen = errors[np.arange(20), median_grade(probs)]
    np.testing.assert_allclose(chosen, errors.min(axis=1), atol=1e-8)


def test_of_two_medians_the_lower_is_taken() -> None:
    assert median_grade(np.array([[0.5, 0.0, 0.5], [0.2, 0.2, 0.6]])).tolist() == [0, 2]


@given(matrices)
def test_middle_votes_are_those_of_the_sorted_row(matrix: np.ndarray) -> None:
    low, high = vote_median(matrix, K)
    for row, votes in enumerate(matrix):
        voted = sorted(vote for vote in votes.tolist() if vote >= 0)
        if voted:
            middle = (voted[(len(voted) - 1) // 2], voted[len(voted) // 2])
            assert (low[row], high[row]) == middle


def test_the_spread_is_found_again() -> None:
    steps = np.arange(5)
    joint = 0.3 ** np.abs(steps[:, None] - steps[None, :])
    joint /= joint.sum(axis=0)
    assert spread_of(joint * [100, 300, 200, 50, 10]) == pytest.approx(0.3)
