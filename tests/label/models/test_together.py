from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.label.models import together
from gristmill.label.models.together import count_together

matrices = hnp.arrays(
    np.int8, st.tuples(st.integers(0, 12), st.integers(1, 4)), elements=st.integers(-1, 2)
)


def one_hot(matrix: NDArray[np.int8], classes: int) -> NDArray[np.float64]:
    """The dense n x m k matrix."""
    cells = matrix[:, :, None] == np.arange(classes)
    return cells.reshape(len(matrix), matrix.shape[1] * classes).astype(float)


@settings(max_examples=40, deadline=None)
@given(matrices, st.sampled_from([1, 10**9]), st.sampled_from([3, 1000]), st.sampled_from([2, 64]))
def test_both_ways_of_counting_equal_the_dense_product(
    matrix: NDArray[np.int8], flops_per_pair: int, rows: int, pairs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "_FLOPS_PER_PAIR", flops_per_pair)
        patch.setattr(together, "_BLOCK_ROWS", rows)
        patch.setattr(together, "_PAIRS_AT_ONCE", pairs)
        found = count_together(matrix, 3)
    dense = one_hot(matrix, 3)
    np.testing.assert_array_equal(found.dense(), dense.T @ dense)
    assert (np.diag(found.counts) > 0).all()
    assert (found.rows, found.sources, found.classes) == (*matrix.shape, 3)


def test_features_are_the_votes_that_occur() -> None:
    found = count_together(np.array([[0, -1, 2], [1, -1, 2]], np.int8), 3)
    assert found.source.tolist() == [0, 0, 2]
    assert found.label.tolist() == [0, 1, 2]
    assert found.counts.tolist() == [[1, 0, 1], [0, 1, 1], [1, 1, 2]]


def test_memory_is_of_the_votes_that_occur_not_of_all_classes() -> None:
    matrix = np.repeat(np.arange(300, dtype=np.int16)[:, None], 2, axis=1)
    matrix[:, 1] = 7
    assert count_together(matrix, 32_000).counts.shape == (301, 301)
