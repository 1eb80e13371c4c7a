import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from gristmill.serve.runners.finite import all_finite, are_finite
from gristmill.serve.runners.rows import Ragged, Rows


@given(hn.arrays(st.sampled_from([np.float32, np.float64, np.int64]), hn.array_shapes(min_side=0)))
def test_finite_is_what_numpy_says(array):
    assert all_finite(array) == bool(np.isfinite(array).all())


def test_many_numbers_may_overflow_their_sum():
    large = np.full(100, 3e38, np.float32)
    assert all_finite(large)
    large[99] = np.inf
    assert not all_finite(large)


def test_all_columns_are_looked_at():
    bad = np.array([1.0, np.nan])
    assert are_finite(Rows({"a": ["x", "y"], "b": np.arange(2)}))
    assert not are_finite(Rows({"a": ["x", "y"], "b": bad}))
    assert not are_finite(Rows({"c": Ragged(bad, np.array([0, 1, 2]))}))
