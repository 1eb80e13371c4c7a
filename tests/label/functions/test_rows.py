from __future__ import annotations

import copy
import pickle

import numpy as np
import polars as pl
import pytest

from gristmill.label.functions.rows import Row, TableRow, cells_of, freeze, rows_of


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
    frame = pl.DataFrame({"n": [1, 2], "tags": [["a"], ["b", "c"]], "s": [{"x": [1]}] * 2})
    rows = rows_of(cells_of(frame))
    assert [row.n for row in rows] == [1, 2]
    assert rows[1].tags == ("b", "c")
    assert rows[0].s["x"] == (1,)  # type: ignore[index]


def test_rows_of_a_table_are_as_other_rows() -> None:
    (row,) = rows_of({"text": ["hi"], "n": [1]})
    same = Row({"text": "hi", "n": 1})
    assert isinstance(row, Row)
    assert isinstance(row, TableRow)
    assert (row, repr(row), list(row), list(row.items())) == (
        same, repr(same), list(same), list(same.items())
    )  # fmt: skip
    assert pickle.loads(pickle.dumps(row)) == row
    assert copy.copy(row) == same == copy.deepcopy(row)
    assert row.get("m", 7) == 7
    assert dict(row.with_fields({"m": 2})) == {"text": "hi", "n": 1, "m": 2}
    with pytest.raises(AttributeError, match="a row is read-only; cannot set 'text'"):
        row.text = "ho"
    with pytest.raises(AttributeError, match="a row is read-only; cannot delete 'text'"):
        del row.text
    with pytest.raises(KeyError):
        _ = row["txt"]
    with pytest.raises(TypeError):
        hash(row)


def test_columns_may_have_any_name() -> None:
    names = [
        "keys",
        "values",
        "get",
        "slots",
        "two words",
        "class",
        "_x",
        "__class__",
        "1",
        "é",
        "",
    ]
    (row,) = rows_of({name: [place] for place, name in enumerate(names)})
    assert dict(row) == {name: place for place, name in enumerate(names)}
    assert [row[name] for name in names] == list(range(len(names)))
    assert getattr(row, "two words") == 4
    assert (getattr(row, "class"), row._x, row.é) == (5, 6, 9)  # type: ignore[attr-defined]
    assert list(row.values()) == list(range(len(names)))
