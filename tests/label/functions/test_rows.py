from __future__ import annotations

import copy
import pickle

import numpy as np
import polars as pl
import pytest

from gristmill.label.functions.rows import Row, freeze, rows_of


def test_a_row_is_read_by_attribute_and_by_name() -> None:
    row = Row({"text": "hi", "values": 3})
    assert row.text == "hi"
    assert row["values"] == 3
    assert dict(row) == {"text": "hi", "values": 3}
    assert len(row) == 2
    assert repr(row) == "Row({'text': 'hi', 'values': 3})"


def test_a_missing_column_names_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"^the row has no column 'txt'; it has text, n$"):
        _ = Row({"text": "hi", "n": 1}).txt
    with pytest.raises(KeyError):
        _ = Row({"text": "hi"})["txt"]


def test_a_row_cannot_be_changed() -> None:
    row = Row({"text": "hi"})
    with pytest.raises(AttributeError, match="a row is read-only; cannot set 'text'"):
        row.text = "ho"
    with pytest.raises(AttributeError, match="a row is read-only; cannot delete 'text'"):
        del row.text
    with pytest.raises(TypeError):
        row["text"] = "ho"  # type: ignore[index]


def test_a_row_survives_pickling_and_copying() -> None:
    row = Row({"text": "hi"})
    assert pickle.loads(pickle.dumps(row)) == row
    assert copy.copy(row).text == "hi"


def test_fields_are_added_to_a_new_row() -> None:
    row = Row({"text": "hi", "n": 1})
    assert dict(row.with_fields({"n": 2, "m": 3})) == {"text": "hi", "n": 2, "m": 3}
    assert row.n == 1


def test_freezing_goes_all_the_way_down() -> None:
    frozen = freeze({"list": [1, [2]], "set": {1}, "array": np.zeros(2)})
    assert frozen["list"] == (1, (2,))  # type: ignore[index]
    assert frozen["set"] == frozenset({1})  # type: ignore[index]
    with pytest.raises(TypeError):
        frozen["new"] = 1  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        frozen["array"][0] = 1  # type: ignore[index]


def test_freezing_an_array_leaves_the_owner_able_to_write() -> None:
    mine = np.zeros(2)
    freeze(mine)
    mine[0] = 1
    assert mine[0] == 1


def test_rows_of_a_frame_come_in_order_with_nested_cells_frozen() -> None:
    rows = rows_of(pl.DataFrame({"n": [1, 2], "tags": [["a"], ["b", "c"]], "s": [{"x": [1]}] * 2}))
    assert [row.n for row in rows] == [1, 2]
    assert rows[1].tags == ("b", "c")
    assert rows[0].s["x"] == (1,)  # type: ignore[index]
