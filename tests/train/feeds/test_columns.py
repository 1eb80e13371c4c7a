from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.columns import as_array

NUMBERS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    "source",
    [
        NUMBERS,
        np.array(NUMBERS),
        torch.tensor(NUMBERS),
        torch.tensor(NUMBERS, dtype=torch.bfloat16),
        torch.tensor(NUMBERS, requires_grad=True),
        pl.Series(NUMBERS),
        pl.Series(NUMBERS, dtype=pl.Array(pl.Float32, 2)),
        pa.array(NUMBERS),
        pa.chunked_array([NUMBERS[:1], NUMBERS[1:]]),
        pd.DataFrame(NUMBERS),
    ],
    ids=lambda source: type(source).__qualname__,
)
def test_numbers_in_any_form(source):
    assert as_array(source, "x").tolist() == NUMBERS


def test_arrays_and_tensors_are_not_copied():
    array, tensor = np.zeros((3, 2)), torch.zeros(3, 2)
    assert as_array(array, "x") is array
    assert as_array(tensor, "x").ctypes.data == tensor.data_ptr()


def test_a_file_stays_a_file(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6).reshape(3, 2))
    for source in (tmp_path / "x.npy", str(tmp_path / "x.npy")):
        found = as_array(source, "x")
        assert isinstance(found, np.memmap)
        assert found.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert as_array(found, "x") is found


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["a", "b"], "x: expected numbers of shape [rows, ...], found <U1[2]"),
        (np.float64(3), "x: expected numbers of shape [rows, ...], found float64[]"),
        (
            pl.Series([1, None, 3, None]),
            "x: row 1 is null\n  fix: fill the nulls, or leave such rows out",
        ),
        (
            pl.Series([[1, 2], [3], [1, 2, 3]]),
            "x: lists are of 1 to 3 items\n  fix: pad them to one length",
        ),
    ],
)
def test_what_holds_no_numbers(source, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        as_array(source, "x")


def test_ragged_rows():
    with pytest.raises(TrainError, match=r"^x: rows are not of one shape: "):
        as_array([[1, 2], [3]], "x")


def test_files_that_cannot_be_read(tmp_path):
    gone, text, archive = (tmp_path / name for name in ("gone.npy", "text.npy", "both.npz"))
    text.write_text("hello, this is no array")
    np.savez(archive, a=np.zeros(2))
    with pytest.raises(UsageError, match=f"^there is no file {re.escape(str(gone))}$"):
        as_array(gone, "x")
    with pytest.raises(TrainError, match=r"text\.npy: expected a \.npy file of numbers: "):
        as_array(text, "x")
    with pytest.raises(TrainError, match=r"both\.npz: expected a \.npy file, found an archive"):
        as_array(archive, "x")


def test_a_pickle_is_not_opened(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(TrainError, match=r"o\.npy: expected a \.npy file of numbers: "):
        as_array(tmp_path / "o.npy", "x")
