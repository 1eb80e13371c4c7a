from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.train.feeds.tensors import aligned, gather, map_tensors, tensor_dtype, tensors_of


def test_map_keeps_the_shape_of_the_tree():
    one = torch.arange(3)
    tree = {"a": (one, [one + 1]), "b": None}
    doubled = map_tensors(lambda tensor: tensor * 2, tree)
    assert doubled["a"][0].tolist() == [0, 2, 4]
    assert doubled["a"][1][0].tolist() == [2, 4, 6]
    assert doubled["b"] is None
    assert (type(doubled["a"]), type(doubled["a"][1])) == (tuple, list)
    assert [each.tolist() for each in tensors_of(tree)] == [[0, 1, 2], [1, 2, 3]]


def test_a_tree_is_made_of_tensors():
    message = "a batch is made of tensors, or tuples, lists and dictionaries of them, found ndarray"
    with pytest.raises(UsageError, match=f"^{message}$"):
        map_tensors(lambda tensor: tensor, (np.zeros(3),))


@settings(deadline=None, max_examples=50)
@given(start=st.integers(0, 40), step=st.sampled_from([1, 2]))
def test_aligned_tensors_begin_at_multiples_of_64(start, step):
    whole = torch.arange(64, dtype=torch.float32)
    part = whole[start::step]
    found = aligned(part)
    assert found.data_ptr() % 64 == 0
    assert found.is_contiguous()
    assert torch.equal(found, part)
    assert (found.data_ptr() == part.data_ptr()) == (step == 1 and start % 16 == 0)


@settings(deadline=None, max_examples=50)
@given(
    dtype=st.sampled_from(["f2", "f4", ">f4", "f8", "i1", "i4", "i8", "u1", "u2", "?"]),
    shape=st.sampled_from([(7,), (7, 3), (7, 2, 5)]),
    rows=st.lists(st.integers(0, 6), max_size=9),
    gaps=st.booleans(),
    read_only=st.booleans(),
    is_target=st.booleans(),
)
def test_gather_equals_indexing(dtype, shape, rows, gaps, read_only, is_target):
    values = np.arange(np.prod(shape) * 2) % 120
    array = values.astype(dtype).reshape((*shape[:-1], -1))
    array = array[..., ::2] if gaps else np.ascontiguousarray(array[..., ::2])
    array.flags.writeable = not read_only
    places = np.array(rows, dtype=np.int64)
    found = gather(array, places, tensor_dtype(array, is_target=is_target))
    assert found.data_ptr() % 64 == 0
    assert found.shape == (len(rows), *shape[1:])
    np.testing.assert_array_equal(found.numpy(), array[places])


def test_gather_takes_rows_of_any_shape():
    found = gather(np.arange(10) * 2, np.array([[1, 2], [9, 0]]), torch.int64)
    assert found.tolist() == [[2, 4], [18, 0]]


@pytest.mark.parametrize("row", [-1, 4, 2**40])
def test_gather_refuses_rows_that_are_not_there(row):
    with pytest.raises(IndexError, match=f"{row} of an array of 4 rows"):
        gather(np.zeros((4, 2)), np.array([row]), torch.float32)


@pytest.mark.parametrize(
    ("dtype", "as_input", "as_target"),
    [
        ("f8", torch.float32, torch.float32),
        ("f4", torch.float32, torch.float32),
        ("f2", torch.float16, torch.float16),
        ("u1", torch.uint8, torch.int64),
        ("u2", torch.int64, torch.int64),
        ("i4", torch.int64, torch.int64),
        ("?", torch.bool, torch.bool),
    ],
)
def test_dtypes_that_torch_wants(dtype, as_input, as_target):
    array = np.zeros(1, dtype=dtype)
    assert tensor_dtype(array, is_target=False) == as_input
    assert tensor_dtype(array, is_target=True) == as_target
