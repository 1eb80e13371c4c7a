from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.models.pairwise import count_pairs

matrices = hnp.arrays(
    np.int8, st.tuples(st.integers(0, 8), st.integers(1, 4)), elements=st.integers(-1, 2)
)


@given(matrices, st.data())
def test_counts_equal_those_of_walking_over_the_rows(
    matrix: np.ndarray, data: st.DataObject
) -> None:
    rows, sources = matrix.shape
    times = data.draw(hnp.arrays(np.float64, rows, elements=st.integers(0, 5).map(float)))
    pairs = count_pairs(matrix, 3, times)
    for i in range(sources):
        for j in range(sources):
            met = (matrix[:, i] >= 0) & (matrix[:, j] >= 0)
            assert pairs.both[i, j] == times[met].sum()
            assert pairs.agree[i, j] == times[met & (matrix[:, i] == matrix[:, j])].sum()
            voted = (matrix[:, i] >= 0) | (matrix[:, j] >= 0)
            assert pairs.either[i, j] == times[voted].sum()
    assert pairs.rows == times.sum()


def test_shares() -> None:
    matrix = np.array([[0, 0, -1], [1, 0, -1], [1, -1, -1], [-1, -1, 0]])
    pairs = count_pairs(matrix, 2)
    assert pairs.identity[0, 1] == 1 / 3
    assert pairs.agreement[0, 1] == 1 / 2
    assert np.isnan(pairs.agreement[0, 2])
    assert pairs.identity[0, 2] == 0
    assert np.diag(pairs.identity).tolist() == [1, 1, 1]


def test_blocks_are_added_up() -> None:
    matrix = np.tile(np.array([[0, 1], [1, 1]]), (70_000, 1))
    pairs = count_pairs(matrix, 2)
    assert (pairs.both[0, 1], pairs.agree[0, 1]) == (140_000, 70_000)
