import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from gristmill.serve.protocols.tensors import column_of, datatype_of, shape_text
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Ragged
from gristmill.store.bundle import Field

VECTOR = Field("x", "tensor", dtype="float32", shape=[3])
BOUNDED = Field("x", "tensor", dtype="int32", shape=[2], min=0.0, max=9.0)
RAGGED = Field("x", "tensor", dtype="float32", shape=[None, 2], max_length=4)
COUNT = Field("count", "int")


def refused(field, array):
    with pytest.raises(Refusal) as caught:
        column_of(field, np.asarray(array))
    return caught.value


def test_an_array_of_the_right_make_is_not_copied():
    array = np.ones((5, 3), np.float32)
    assert column_of(VECTOR, array) is array


def test_scalars_come_as_a_vector_or_a_column():
    for array in (np.arange(3), np.arange(3)[:, None]):
        assert column_of(COUNT, array).tolist() == [0, 1, 2]


@given(st.integers(0, 4), st.integers(0, 4))
def test_rows_of_free_length_are_cut_as_they_were(count, length):
    array = np.random.default_rng(3).random((count, length, 2), np.float32)
    column = column_of(RAGGED, array)
    assert isinstance(column, Ragged)
    assert len(column) == count
    for row in range(count):
        np.testing.assert_array_equal(column[row], array[row])


@pytest.mark.parametrize(
    ("field", "shape", "expected"),
    [
        (VECTOR, (3,), "[n, 3]"),
        (VECTOR, (2, 4), "[n, 3]"),
        (VECTOR, (2, 3, 1), "[n, 3]"),
        (RAGGED, (2, 4, 3), "[n, length, 2]"),
        (COUNT, (2, 2), "[n] or [n, 1]"),
    ],
)
def test_another_shape(field, shape, expected):
    refusal = refused(field, np.zeros(shape, np.float32))
    assert (
        refusal.message == f"input {field.name!r}: expected shape {expected}, found {list(shape)}"
    )
    assert expected == shape_text(field)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "uint16", "bool"])
def test_types_that_mean_the_same_are_taken(dtype):
    column = column_of(VECTOR, np.ones((2, 3), dtype))
    assert column.dtype == np.float32
    assert column.tolist() == [[1.0] * 3] * 2


def test_types_that_do_not_are_refused():
    integers = Field("x", "tensor", dtype="int64", shape=[2])
    assert refused(integers, np.ones((1, 2))).message == (
        "input 'x': expected datatype INT64, found FP64"
    )
    truths = Field("x", "tensor", dtype="bool", shape=[2])
    assert refused(truths, np.ones((1, 2), "i8")).status == 400


@given(hn.arrays(hn.integer_dtypes() | hn.unsigned_integer_dtypes(), (2, 2)))
def test_integers_are_cast_only_if_none_changes(array):
    field = Field("x", "tensor", dtype="int32", shape=[2])
    fits = all(-(2**31) <= int(value) < 2**31 for value in array.ravel())
    if fits:
        assert column_of(field, array).tolist() == array.tolist()
    else:
        assert refused(field, array).message.startswith("input 'x': expected INT32, -2147483648 to")


def test_a_float_too_large_for_its_field_is_not_finite():
    (detail,) = refused(VECTOR, np.full((1, 3), 1e300)).details
    assert (detail.expected, detail.found) == ("finite numbers", "inf")


def test_limits_are_told_by_row():
    array = np.array([[0, 9], [-1, 3], [2, 10]], np.int32)
    refusal = refused(BOUNDED, array)
    found = [(detail.index, detail.expected, detail.found) for detail in refusal.details]
    assert found == [(1, "at least 0", "-1"), (2, "at most 9", "10")]
    assert refusal.status == 422


def test_rows_that_are_too_long():
    (detail,) = refused(RAGGED, np.zeros((1, 5, 2), np.float32)).details
    assert (detail.expected, detail.found) == ("at most 4 elements", "5")


def test_names_of_types():
    assert datatype_of(VECTOR) == "FP32"
    assert datatype_of(Field("t", "string")) == "BYTES"
    assert datatype_of(Field("p", "image", shape=[2, 2, 3])) == "UINT8"
