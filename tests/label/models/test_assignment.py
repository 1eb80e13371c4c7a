from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.label.models.assignment import assign

squares = st.integers(1, 5).flatmap(
    lambda size: hnp.arrays(np.float64, (size, size), elements=st.integers(-3, 3).map(float))
)


@given(squares)
def test_no_permutation_is_better(scores: NDArray[np.float64]) -> None:
    size = len(scores)
    found = assign(scores)
    assert sorted(found.tolist()) == list(range(size))
    best = max(scores[range(size), list(order)].sum() for order in permutations(range(size)))
    assert scores[range(size), found].sum() == best


def test_a_hidden_permutation_is_found() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.permutation(60)
    scores = rng.random((60, 60)) * 0.4
    scores[np.arange(60), hidden] += 0.6
    np.testing.assert_array_equal(assign(scores), hidden)


def test_where_all_is_equal_everything_stays() -> None:
    assert assign(np.zeros((4, 4))).tolist() == [0, 1, 2, 3]
