from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gristmill.core.errors import DataError
from gristmill.data.table import as_table, with_row_id


@pytest.mark.parametrize(
    "make",
    [pl.DataFrame, lambda d: pl.DataFrame(d).lazy(), pd.DataFrame, pa.table],
    ids=["polars", "lazy", "pandas", "arrow"],
)
def test_any_frame_becomes_polars_with_a_row_id(make):
    table = as_table(make({"a": [3, 4], "b": ["x", "y"]}))
    assert isinstance(table, pl.DataFrame)
    assert table.rows() == [(0, 3, "x"), (1, 4, "y")]
    assert table.schema["row_id"] == pl.Int64


def test_a_path(write):
    path = write("a.csv", "row_id,a\nm1,2\n")
    assert as_table(path).rows() == as_table(str(path)).rows() == [("m1", 2)]


def test_something_else():
    with pytest.raises(DataError, match="expected a data frame or a path, found int"):
        as_table(3)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.0, 2.0], "column 'row_id' must be integer or string, found Float64"),
        ([1, None], "row 1: column 'row_id' has 1 empty cells"),
        (["a", "a"], "column 'row_id' has value 'a' more than once\n  fix: make ids unique"),
    ],
)
def test_bad_row_ids(ids, message):
    with pytest.raises(DataError) as error:
        with_row_id(pl.DataFrame({"row_id": ids}))
    assert str(error.value) == message


def test_given_ids_stay():
    frame = pl.DataFrame({"a": [1, 2], "row_id": ["x", "y"]})
    assert with_row_id(frame) is frame
