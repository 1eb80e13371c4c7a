from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.core.errors import TrainError
from gristmill.train.weak.sparse_rows import SparseRows

MATRICES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
    elements=st.sampled_from([0.0, 0.0, 1.0, -2.0, 0.5]),
)  # fmt: skip
IDS = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
    elements=st.sampled_from([0, 0, 1, 5, 900]),
)  # fmt: skip


def dense(rows: SparseRows) -> np.ndarray:
    return rows.tensor().to_dense().numpy()


def slow_tf_idf(ids: np.ndarray) -> np.ndarray:
    """One cell at a time."""
    holding = {i: sum(i in row for row in ids) for i in np.unique(ids) if i}
    kept = [i for i, count in holding.items() if count > 1]
    matrix = np.zeros((len(ids), len(kept)))
    for place, row in enumerate(ids):
        for column, i in enumerate(kept):
            idf = 1 + math.log((1 + len(ids)) / (1 + holding[i]))
            matrix[place, column] = (row == i).sum() * idf
        norm = math.sqrt((matrix[place] ** 2).sum())
        matrix[place] /= norm or 1
    return matrix


@given(IDS)
def test_ids_become_tf_idf_of_what_rows_share(ids):
    np.testing.assert_allclose(dense(SparseRows.of(ids)), slow_tf_idf(ids))


@given(MATRICES)
def test_numbers_keep_their_proportions(matrix):
    found = dense(SparseRows.of(matrix))
    norm = math.sqrt((matrix**2).sum() / len(matrix)) or 1.0
    np.testing.assert_allclose(found, matrix / norm)


@given(MATRICES, st.data())
def test_take_and_transpose(matrix, data):
    rows = SparseRows.of(matrix)
    places = data.draw(st.lists(st.integers(0, len(matrix) - 1), max_size=8))
    taken = rows.take(np.array(places, np.int64))
    np.testing.assert_array_equal(dense(taken), dense(rows)[places])
    np.testing.assert_array_equal(dense(rows.transposed()), dense(rows).T)


def test_takes_a_scipy_matrix():
    class Csr:
        indptr = np.array([0, 1, 3], np.int32)
        indices = np.array([1, 0, 2], np.int32)
        data = np.array([1.0, 0.6, 0.8], np.float32)
        shape = (2, 3)

        def tocsr(self, copy):
            assert copy
            return self

        def sum_duplicates(self):
            pass

    np.testing.assert_allclose(
        dense(SparseRows.of(Csr())), [[0, 1, 0], [0.6, 0, 0.8]], rtol=1e-6
    )  # rows of norm 1 stay as they are


def test_bad_features():
    with pytest.raises(TrainError, match=r"^expected features of shape \[rows, width\], ids or"):
        SparseRows.of(np.zeros(3))
    with pytest.raises(TrainError, match=r"found <U1\[1, 1\]$"):
        SparseRows.of(np.array([["a"]]))
    with pytest.raises(TrainError, match=r"^expected features that are finite, found NaN or inf"):
        SparseRows.of(np.array([[np.nan]]))
    with pytest.raises(TrainError, match=r"^expected ids of 0 or more, found -1\n  fix: int64 is"):
        SparseRows.of(np.array([[-1, 2]]))


def test_sparse_rows_are_taken_as_they_are():
    rows = SparseRows.of(np.eye(3) * 2)
    assert SparseRows.of(rows) is rows
