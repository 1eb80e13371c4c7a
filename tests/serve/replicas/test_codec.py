import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from gristmill.core.errors import ServeError
from gristmill.serve.replicas.codec import ALIGNMENT, aligned, pack, unpack
from gristmill.serve.runners.rows import Ragged, Rows

DTYPES = ["?", "<i4", "<i8", "<f2", "<f4", ">f8", "<U3", "<M8[s]", "<c8"]
plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
values = st.recursive(plain | st.text() | st.binary(), st.lists, max_leaves=5)


@st.composite
def columns(draw, count):
    kind = draw(st.sampled_from(["list", "array", "ragged"]))
    if kind == "list":
        return draw(st.lists(values, min_size=count, max_size=count))
    dtype = draw(st.sampled_from(DTYPES))
    inner = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    if kind == "array":
        return draw(of_numpy.arrays(dtype, (count, *inner)))
    lengths = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    return Ragged.of(
        [draw(of_numpy.arrays(dtype, (length, *inner))) for length in lengths],
        like=np.empty((0, *inner), dtype),
    )


@st.composite
def tables(draw):
    count = draw(st.integers(0, 5))
    names = draw(st.lists(st.text(max_size=5), unique=True, max_size=4))
    return Rows({name: draw(columns(count)) for name in names}, count)


def carried(rows):
    packed = pack(rows)
    memory = np.full(packed.nbytes + 3, 7, np.uint8)
    packed.write(memory)
    assert (memory[packed.nbytes :] == 7).all()
    return unpack(memory, len(packed.head))


def same(before, after):
    if isinstance(before, list):
        return before == after
    if isinstance(before, Ragged):
        return same(before.values, after.values) and same(before.offsets, after.offsets)
    return (
        before.dtype == after.dtype
        and before.shape == after.shape
        and (before.tobytes() == after.tobytes())
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_rows_arrive_as_they_were(rows):
    found = carried(rows)
    assert found.count == rows.count
    assert list(found.columns) == list(rows.columns)
    assert all(same(rows[name], found[name]) for name in rows.columns)


@given(st.integers(0, 10_000))
def test_aligned_is_the_next_multiple(size):
    assert aligned(size) % ALIGNMENT == 0
    assert 0 <= aligned(size) - size < ALIGNMENT


def test_slices_and_transposed_arrays_arrive():
    base = np.arange(24.0).reshape(4, 6)
    found = carried(Rows({"a": base[1:3], "b": base.T[::3], "c": base[::-2]}))
    assert found["a"].tolist() == base[1:3].tolist()
    assert found["b"].tolist() == base.T[::3].tolist()
    assert found["c"].tolist() == base[::-2].tolist()


def test_arrays_are_aligned_writable_views():
    packed = pack(Rows({"t": ["some", "text"], "a": np.ones((2, 3), np.float32), "b": np.ones(2)}))
    room = np.zeros(packed.nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    packed.write(room[start:])
    found = unpack(room[start:], len(packed.head))
    for name in ("a", "b"):
        assert found[name].ctypes.data % ALIGNMENT == 0
        assert np.shares_memory(found[name], room)
        assert found[name].flags.writeable


def test_scalars_of_numpy_in_a_list_become_plain():
    found = carried(Rows({"x": [np.float32(1.5), np.int64(2), np.bool_(True)]}))["x"]
    assert found == [1.5, 2, True]
    assert [type(value) for value in found] == [float, int, bool]


def test_arrays_of_objects_are_refused():
    with pytest.raises(ServeError) as raised:
        pack(Rows({"x": np.array(["a", None], object)}))
    assert str(raised.value) == (
        "column 'x': an array of Python objects cannot be handed to another process\n"
        "  fix: give texts and mixed values as a list"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "expected plain values in a list, found a object"),
        (np.ones(2), "expected plain values in a list, found a ndarray"),
        (2**70, ""),
        ("\ud800", ""),
    ],
)
def test_values_that_are_no_data_are_refused(value, said):
    with pytest.raises(ServeError, match="rows cannot be handed to another process: ") as raised:
        pack(Rows({"x": [value]}))
    assert said in str(raised.value)
