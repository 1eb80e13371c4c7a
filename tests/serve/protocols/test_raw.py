import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from gristmill.serve.protocols.raw import RawTensor, array_of_npy, npy_of, rows_of_npy
from gristmill.serve.refusal import Refusal
from gristmill.store.bundle import Field

VECTOR = Field("x", "tensor", dtype="float32", shape=[3])
RAGGED = Field("x", "tensor", dtype="int64", shape=[None, 2])
DTYPES = (
    hn.boolean_dtypes()
    | hn.integer_dtypes()
    | hn.unsigned_integer_dtypes()
    | hn.floating_dtypes(endianness="?", sizes=(16, 32, 64))
)
ARRAYS = hn.arrays(DTYPES, hn.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def refused(call):
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


@given(ARRAYS, st.booleans())
def test_reads_what_numpy_writes(array, fortran):
    found = array_of_npy(saved(np.asfortranarray(array) if fortran else array))
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


@given(ARRAYS)
def test_numpy_reads_what_is_written(array):
    np.testing.assert_array_equal(np.load(io.BytesIO(npy_of(array)), allow_pickle=False), array)


def test_no_object_is_ever_made():
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object))
    assert refused(lambda: array_of_npy(file.getvalue())).message == (
        "expected a .npy file of numbers, found another header"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected a .npy file, found other bytes"),
        (b"\x93NUMPY\x09\x00" + b"x" * 20, "expected a .npy file, found other bytes"),
        (
            b"\x93NUMPY\x01\x00\xff\xff" + b"x" * 20,
            "expected a .npy file, found one whose header is cut or too long",
        ),
        (saved(np.zeros(3))[:-1], "expected 24 bytes for a .npy file of shape [3], found 23"),
        (saved(np.array(["a"])), "expected a .npy file of numbers, found another header"),
        (
            saved(np.zeros(3, "c8")),
            "expected a .npy file of numbers, found type '<c8'",
        ),
    ],
)
def test_other_files_are_refused(body, message):
    refusal = refused(lambda: array_of_npy(body))
    assert (refusal.status, refusal.code, refusal.message) == (400, "bad_tensors", message)


@given(
    st.binary(max_size=300)
    | st.binary(max_size=60).map(lambda tail: saved(np.zeros(2))[:100] + tail)
)
def test_any_bytes_are_an_array_or_refused(body):
    with suppress(Refusal):
        assert isinstance(array_of_npy(body), np.ndarray)


def test_bytes_are_as_many_rows_as_there_are():
    array = np.arange(6, dtype="<f4").reshape(2, 3)
    rows = RawTensor([VECTOR]).rows(array.tobytes())
    assert rows.count == 2
    np.testing.assert_array_equal(rows["x"], array)
    assert not rows["x"].flags.owndata  # a view of the body


def test_rows_of_free_length_come_one_a_request():
    rows = RawTensor([RAGGED]).rows(np.arange(6, dtype="<i8").tobytes())
    assert (rows.count, rows["x"][0].tolist()) == (1, [[0, 1], [2, 3], [4, 5]])


def test_bytes_that_are_no_rows():
    assert refused(lambda: RawTensor([VECTOR]).rows(b"12345")).message == (
        "input 'x': expected a positive multiple of 12 bytes, for rows of float32 [n, 3], found 5"
    )
    assert refused(lambda: RawTensor([VECTOR]).rows(b"")).status == 400
    wrong = refused(lambda: rows_of_npy([VECTOR], saved(np.zeros((2, 4), "f4"))))
    assert wrong.message == "input 'x': expected shape [n, 3], found [2, 4]"


def test_a_model_without_a_single_tensor_reads_no_bytes():
    refusal = refused(lambda: RawTensor([Field("text", "string")]).rows(b"abc"))
    assert (refusal.status, refusal.code) == (415, "wrong_content_type")


def test_values_that_are_no_numbers_are_named_by_row():
    array = np.zeros((3, 3), "f4")
    array[1, 2], array[2, 0] = np.nan, np.inf
    refusal = refused(lambda: RawTensor([VECTOR]).rows(array.tobytes()))
    assert (refusal.status, refusal.code) == (422, "bad_records")
    found = [(detail.index, detail.expected, detail.found) for detail in refusal.details]
    assert found == [(1, "finite numbers", "nan"), (2, "finite numbers", "inf")]


def test_large_finite_numbers_whose_sum_overflows_are_fine():
    rows = RawTensor([VECTOR]).rows(np.full((1, 3), 3e38, "<f4").tobytes())
    assert rows.count == 1
