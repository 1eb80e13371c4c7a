import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from gristmill.serve.runners.finite import all_finite, are_finite
from gristmill.serve.runners.rows import Ragged, Rows


@given(hn.arrays(st.sampled_from([np.float32, np.float64, np.int64]), hn.array_shapes(min_side=0)))
def test_finite_is_what_numpy_says(array):
    assert all_finite(array) == bool(np.isfinite(array).all())


def test_many_numbers_may_overflow_their_sum_without_a_warning():
    large = np.full(100, 3e38, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all_finite(large)
    large[99] = np.inf
    assert not all_finite(large)


@given(
    hn.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.dtype(">f4")]),
        st.sampled_from([(65,), (100,), (3, 5, 7), (10, 11)]),
        elements=st.one_of(st.just(0.5), st.sampled_from([np.inf, -np.inf, np.nan])),
        fill=st.just(0.5),
    ),
    st.booleans(),
)
def test_many_numbers_are_finite_as_numpy_says(array, turned):
    array = array.T if turned else array
    assert all_finite(array) == bool(np.isfinite(array).all())


def test_all_columns_are_looked_at():
    bad = np.array([1.0, np.nan])
    assert are_finite(Rows({"a": ["x", "y"], "b": np.arange(2)}))
    assert not are_finite(Rows({"a": ["x", "y"], "b": bad}))
    assert not are_finite(Rows({"c": Ragged(bad, np.array([0, 1, 2]))}))
