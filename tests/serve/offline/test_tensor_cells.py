"""Columns of tensors and images, whatever form they come in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gristmill.serve.offline.tensor_cells import read_tensors
from gristmill.serve.runners.rows import Ragged
from gristmill.store.signature import Field

PAIR = Field("x", "tensor", dtype="float32", shape=[2])
GRID = Field("x", "tensor", dtype="int64", shape=[2, 3])
IDS = Field("x", "tensor", dtype="int64", shape=[None], min=0, max=9, max_length=3)
DOT = Field("x", "image", shape=[2, 3, 3])
HERE = Path()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-5, 5), min_size=2, max_size=2), max_size=5))
def test_all_forms_of_a_fixed_tensor_are_one(rows: list[list[int]]) -> None:
    forms = [
        pl.Series("x", rows, dtype=pl.List(pl.Int64)),
        pl.Series("x", rows, dtype=pl.Array(pl.Float64, 2)),
        pl.Series("x", [str(row) for row in rows], dtype=pl.String),
    ]
    for cells in forms:
        column, wrong = read_tensors(cells, PAIR, HERE)
        assert isinstance(column, np.ndarray)
        assert column.dtype == np.float32
        assert column.tolist() == rows
        assert wrong == {}


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(st.integers(-1, 10), max_size=4), max_size=6))
def test_ragged_rows_and_their_limits(rows: list[list[int] | None]) -> None:
    column, wrong = read_tensors(pl.Series("x", rows, dtype=pl.List(pl.Int32)), IDS, HERE)
    assert isinstance(column, Ragged)
    for at, row in enumerate(rows):
        good = bool(row) and len(row) <= 3 and all(0 <= value <= 9 for value in row)
        assert (at not in wrong) == good
        if good:
            assert column[at].tolist() == row
        if row == []:
            assert wrong[at] == "expected at least one element, found none"


def test_what_is_wrong_with_a_tensor() -> None:
    cells = pl.Series(
        "x", ["[1, 2]", "[1]", "[1, null]", "nonsense", "[1e39, 0]", None, '["a", 1]']
    )
    column, wrong = read_tensors(cells, PAIR, HERE)
    assert column[0].tolist() == [1, 2]
    assert wrong == {
        1: "expected a tensor float32 of shape [2], found shape [1]",
        2: "expected a tensor float32 of shape [2], found '[1, null]'",
        3: "expected a tensor float32 of shape [2], found 'nonsense'",
        4: "expected finite numbers, found others",
        5: "expected a tensor float32 of shape [2], found nothing",
        6: "expected a tensor float32 of shape [2], found '[\"a\", 1]'",
    }


def test_numbers_that_another_type_cannot_hold_are_refused() -> None:
    small = Field("x", "tensor", dtype="int32", shape=[1])
    _, wrong = read_tensors(pl.Series("x", [[1], [2**40]]), small, HERE)
    assert list(wrong) == [1]
    _, wrong = read_tensors(pl.Series("x", [[1.5]]), small, HERE)
    assert list(wrong) == [0]


def test_a_flat_list_is_put_in_shape() -> None:
    column, wrong = read_tensors(pl.Series("x", [[1, 2, 3, 4, 5, 6]]), GRID, HERE)
    assert wrong == {}
    assert np.asarray(column).tolist() == [[[1, 2, 3], [4, 5, 6]]]


def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 7 if mode != "RGB" else (7, 8, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_as_files_bytes_and_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png((3, 2)))
    from_file, wrong = read_tensors(pl.Series("x", ["a.png"]), DOT, tmp_path)
    assert wrong == {}
    from_bytes, _ = read_tensors(pl.Series("x", [png((3, 2))]), DOT, tmp_path)
    pixels = np.full((1, 2, 3, 3), [7, 8, 9], np.uint8)
    from_pixels, _ = read_tensors(pl.Series("x", pixels), DOT, tmp_path)
    for column in (from_file, from_bytes, from_pixels):
        np.testing.assert_array_equal(np.asarray(column), pixels)
    grey, _ = read_tensors(
        pl.Series("x", [png((3, 2), "L")]), Field("x", "image", shape=[2, 3, 1]), tmp_path
    )
    assert np.asarray(grey).shape == (1, 2, 3, 1)


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    _, wrong = read_tensors(pl.Series("x", ["a.png"]), DOT, tmp_path)
    assert wrong == {0: f"expected an image, found no file {tmp_path / 'a.png'}"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (png((2, 3)), "expected an image of 3x2 pixels, found 2x3"),
        (png((3, 2), "I;16"), "expected 8 bits a channel, found an image of mode I;16"),
        (png((3, 2))[:40], "expected an image, found a file of another kind, or damaged"),
        (b"text", "expected an image, found a file of another kind, or damaged"),
    ],
)
def test_what_is_no_such_image(data: bytes, said: str) -> None:
    _, wrong = read_tensors(pl.Series("x", [png((3, 2)), data]), DOT, HERE)
    assert list(wrong) == [1]
    assert wrong[1].startswith(said)
