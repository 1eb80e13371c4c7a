"""Answers as a table: a column for each output, whatever its shape."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.serve.offline.answering import answers_frame
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.signature import Field


@pytest.mark.parametrize(
    ("shape", "column", "dtype"),
    [
        ([], np.array([1.5, 2.5], np.float32), pl.Float32()),
        ([2], np.ones((2, 2), np.float32), pl.List(pl.Float32)),
        ([2, 3], np.ones((2, 2, 3), np.float32), pl.Array(pl.Float32, (2, 3))),
        ([None], Ragged.of([np.ones(1, np.float32), np.ones(3, np.float32)]), pl.List(pl.Float32)),
    ],
    ids=["number", "vector", "matrix", "ragged"],
)
def test_tensors_become_columns(shape, column, dtype):
    field = Field("found", "tensor", dtype="float32", shape=shape)
    frame = answers_frame(Rows({"found": column}), [field])
    assert frame.schema == {"found": dtype}
    for row, cell in enumerate(frame["found"].to_list()):
        assert np.array_equal(np.asarray(cell, np.float32), column[row])
