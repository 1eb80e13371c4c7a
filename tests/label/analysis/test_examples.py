from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.analysis.examples import aligned, example_rows, text_columns

TABLE = pl.DataFrame({"row_id": ["b", "a"], "n": [1, 2], "text": ["x", "y"]})


def test_texts_are_shown_unless_others_are_asked_for() -> None:
    assert text_columns(TABLE) == ["text"]
    assert text_columns(TABLE.drop("text")) == ["n"]
    assert text_columns(TABLE, ["n"]) == ["n"]
    with pytest.raises(LabelError, match="expected a list of columns, found the text 'text'"):
        text_columns(TABLE, "text")


def test_rows_come_in_the_order_of_the_ids() -> None:
    ids = pl.Series(["a", "b"])
    assert aligned(TABLE, ids)["n"].to_list() == [2, 1]
    assert example_rows(TABLE, ["b", "a", "b"], None, ids).rows() == [("b", "x"), ("a", "y")]
    assert example_rows(None, ["b"], None, ids).rows() == [("b",)]


def test_rows_that_are_not_there_are_named() -> None:
    with pytest.raises(LabelError, match="the table lacks 1 of the 2 rows, such as row 'c'"):
        aligned(TABLE, pl.Series(["a", "c"]))
    with pytest.raises(LabelError, match="row ids of the table are String, those of the rows Int"):
        aligned(TABLE, pl.Series([0, 1]))
