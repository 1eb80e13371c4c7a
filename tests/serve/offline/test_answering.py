"""Answers as a table: a column for each output, whatever its shape."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.serve.offline.answering import answer_rows, answers_frame
from gristmill.serve.runners.labels import ClassRows
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


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, np.nan]), min_size=2, max_size=2)))
def test_classes_are_a_table_without_a_list_of_their_labels(probs):
    rows = ClassRows(["ä", "b"], np.array(probs, np.float64).reshape(-1, 2))
    fields = [Field("label", "string"), Field("prob", "float"),
              Field("probs", "tensor", dtype="float64", shape=[2])]  # fmt: skip
    frame = answers_frame(rows, fields)
    plain = answers_frame(Rows(rows.columns, rows.count), fields)
    assert frame.schema == plain.schema
    assert frame.equals(plain)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.sampled_from(["float16", "float32", "int8", "bool"]),
    st.sampled_from([(), (2,), (2, 1)]),
)
def test_rows_of_any_lengths_become_lists(lengths, dtype, inner):
    rows = [np.arange(np.prod((n, *inner))).reshape(n, *inner).astype(dtype) for n in lengths]
    like = np.zeros((0, *inner), dtype)
    field = Field("found", "tensor", dtype=dtype, shape=[None, *inner])
    frame = answers_frame(Rows({"found": Ragged.of(rows, like=like)}), [field])
    wide = "float32" if dtype == "float16" else dtype
    assert frame["found"].to_list() == [row.astype(wide).tolist() for row in rows]


def test_a_row_that_fails_alone_has_no_place_in_a_batch():
    class Refusing:
        classes = ()
        outputs = (Field("found", "tensor", dtype="float32", shape=[]),)

        def work(self, rows):
            return np.ones(rows.count)

        def __call__(self, rows):
            if 7 in rows["x"]:
                raise DataError(
                    "expected another number", where=f"row {rows['x'].tolist().index(7)}"
                )
            return Rows({"found": rows["x"].astype(np.float32)})

    answers = answer_rows(Refusing(), Rows({"x": np.array([1, 7, 2])}), 8)
    assert answers.failed == {1: "expected another number"}
    assert answers.frame["found"].to_list() == [1.0, None, 2.0]


def test_large_rows_go_through_the_model_a_few_at_a_time():
    seen = []

    class Counting:
        classes = ()
        outputs = (Field("found", "tensor", dtype="float32", shape=[]),)

        def work(self, rows):
            return np.ones(rows.count)

        def __call__(self, rows):
            seen.append(rows.count)
            return Rows({"found": rows["x"][:, 0]})

    rows = Rows({"x": np.zeros((40, 1 << 16), np.float32)})
    answer_rows(Counting(), rows)
    assert (sum(seen), max(seen)) == (40, 16)
    seen.clear()
    answer_rows(Counting(), rows, 30)
    assert seen == [30, 10]
