"""Rows read for a graph: numbers, texts, tensors, images; what can't be read is said."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.errors import DataError
from gristmill.data.features import Columns, HashedNgrams
from gristmill.serve.runners.reading import IdReader, NumberReader, TensorPart
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.signature import Field


def test_columns_of_numbers_side_by_side():
    rows = Rows({"b": np.array([3, 4]), "a": [1.5, 2.5], "more": ["x", "y"]})
    (found,) = NumberReader(Columns(("a", "b")))(rows)
    assert (found.tolist(), found.dtype) == ([[1.5, 3.0], [2.5, 4.0]], np.float32)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, None], "column 'a': expected numbers, found object"),
        (["1", "2"], "column 'a': expected numbers, found str"),
        ([1.0, float("nan")], "column 'a', row 1: expected finite numbers, found nan"),
        ([1e39, 1.0], r"column 'a', row 0: expected finite numbers, found 1e\+39"),
    ],
)
def test_what_is_no_finite_number(column, message):
    with pytest.raises(DataError, match=message):
        NumberReader(Columns(("a",)))(Rows({"a": column}))


def test_a_column_that_is_missing():
    with pytest.raises(DataError, match="expected a column 'a', found b"):
        NumberReader(Columns(("a",)))(Rows({"b": [1]}))


def test_texts_are_ids_without_padding():
    featurizer = HashedNgrams(words=(1, 1))
    texts = ["one two three", "", None, "one"]
    (found,) = IdReader(featurizer)(Rows({"text": texts}))
    whole = featurizer.encode(["one two three"])[0].tolist()
    assert [found[at].tolist() for at in range(4)] == [whole, [0], [0], whole[:1]]


RAGGED = TensorPart(Field("x", "tensor", dtype="float32", shape=[None, 2]), np.dtype(np.float32))
FIXED = TensorPart(Field("x", "tensor", dtype="int64", shape=[2]), np.dtype(np.int64))


def test_tensors():
    assert FIXED(np.array([[1, 2]], np.int32)).dtype == np.int64
    assert FIXED([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    found = RAGGED([np.zeros((1, 2)), np.ones((3, 2))])
    assert isinstance(found, Ragged)
    assert (found.lengths.tolist(), found.values.dtype) == ([1, 3], np.float32)
    assert RAGGED(found).values is found.values
    assert len(RAGGED([])) == 0


@pytest.mark.parametrize(
    ("part", "column", "message"),
    [
        (FIXED, np.zeros((1, 3), np.int64), r"expected rows of shape \[2\], found \[3\]"),
        (FIXED, np.zeros((1, 2)), "expected int64, found float64"),
        (FIXED, Ragged.of([np.zeros(2, np.int64)]), "expected rows of one shape"),
        (RAGGED, [np.zeros((1, 3))], r"expected rows of shape \[2\], found \[3\]|dimension"),
        (RAGGED, Ragged.of([np.zeros((1, 3))]), r"expected rows of shape \[2\], found \[3\]"),
    ],
)
def test_tensors_that_do_not_fit(part, column, message):
    with pytest.raises((DataError, ValueError), match=message):
        part(column)


def test_images_become_channels_from_0_to_1():
    part = TensorPart(Field("i", "image", shape=[1, 2, 3]), np.dtype(np.float32))
    pixels = np.array([[[[0, 51, 255], [255, 0, 0]]]], np.uint8)
    found = part(pixels)
    assert (found.shape, found.dtype) == ((1, 3, 1, 2), np.float32)
    np.testing.assert_allclose(found[0, :, 0, 0], [0.0, 0.2, 1.0], rtol=1e-6)
    with pytest.raises(DataError, match="expected uint8, found float64"):
        part(pixels.astype(float))
