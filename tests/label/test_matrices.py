from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.matrices import dense, hash_rows

MATRICES = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 40), st.just(3)), elements=st.integers(-1, 1)
)


@given(MATRICES)
def test_rows_have_one_hash_if_they_are_the_same(matrix: NDArray[np.int8]) -> None:
    hashes = hash_rows(matrix)
    for first in range(len(matrix)):
        for second in range(len(matrix)):
            same = (matrix[first] == matrix[second]).all()
            assert (hashes[first] == hashes[second]) == same


def test_floats_will_do_where_they_are_whole() -> None:
    assert dense([[1.0, -1.0]]).tolist() == [[1, -1]]
    with pytest.raises(LabelError, match=r"0\.5"):
        dense([[0.5, 1.0]])
    with pytest.raises(LabelError, match=r"^expected votes of shape .*, found \(2,\)"):
        dense([1, 2])
