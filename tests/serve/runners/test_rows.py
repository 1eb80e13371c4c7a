"""Rows: cut, joined and picked as plain lists would be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import ServeError
from gristmill.serve.runners.rows import LateRows, Ragged, Rows

lists = st.lists(st.lists(st.integers(-5, 5), max_size=5), min_size=1, max_size=8)


def ragged(rows):
    return Ragged.of([np.array(row, np.int64) for row in rows])


def plain(found):
    return [row.tolist() for row in (found[at] for at in range(len(found)))]


@given(lists, st.data())
def test_ragged_rows_are_lists_of_rows(rows, data):
    found = ragged(rows)
    assert len(found) == len(rows)
    assert plain(found) == rows
    assert found.lengths.tolist() == [len(row) for row in rows]
    start, stop = (data.draw(st.integers(0, len(rows))) for _ in range(2))
    assert plain(found[start:stop]) == rows[start:stop]
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    assert plain(found.select(np.array(places, np.int64))) == [rows[place] for place in places]
    longest = max(1, *map(len, rows))
    assert found.padded().tolist() == [row + [0] * (longest - len(row)) for row in rows]


@given(st.lists(lists, min_size=1, max_size=4))
def test_ragged_parts_joined(parts):
    joined = Ragged.concat([ragged(part) for part in parts])
    assert plain(joined) == [row for part in parts for row in part]


def test_rows_of_more_dimensions():
    found = Ragged.of([np.ones((2, 3)), np.zeros((1, 3))])
    assert found.padded().shape == (2, 2, 3)
    assert found[1].shape == (1, 3)
    assert found[-1].shape == (1, 3)
    assert found.nbytes == 9 * 8 + 3 * 8
    with pytest.raises(IndexError):
        found[2]


def test_no_rows_keep_their_kind():
    empty = Ragged.of([], like=np.zeros((0, 3), np.float32))
    assert (len(empty), empty.values.shape, empty.values.dtype) == (0, (0, 3), np.float32)


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2]])
def test_offsets_that_do_not_cut_the_values(offsets):
    with pytest.raises(ServeError, match="expected offsets from 0 to 3"):
        Ragged(np.arange(3), np.array(offsets, np.int64))


@pytest.fixture
def rows():
    return Rows(
        {
            "text": ["a", "bc", "ü"],
            "count": [1, None, 3],
            "x": np.arange(6.0).reshape(3, 2),
            "ids": ragged([[1], [2, 3], [4, 5, 6]]),
        }
    )


def test_take_shares_memory_and_concat_undoes_it(rows):
    first, rest = rows.take(0, 1), rows.take(1, 3)
    assert np.shares_memory(first["x"], rows["x"])
    assert np.shares_memory(rest["ids"].values, rows["ids"].values)
    assert rows.take(0, 3) is rows
    again = Rows.concat([first, rest])
    assert (again.count, again["text"], again["count"]) == (3, rows["text"], [1, None, 3])
    assert again["x"].tolist() == rows["x"].tolist()
    assert plain(again["ids"]) == plain(rows["ids"])
    assert Rows.concat([rows]) is rows


def test_select(rows):
    picked = rows.select(np.array([2, 0]))
    assert (picked["text"], picked["count"]) == (["ü", "a"], [3, 1])
    assert picked["x"].tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert plain(picked["ids"]) == [[4, 5, 6], [1]]


def test_nbytes(rows):
    assert rows.nbytes() == (1 + 2 + 2) + 3 * 8 + 48 + (6 * 8 + 4 * 8)


def test_columns_of_one_length():
    with pytest.raises(ServeError, match="expected columns of 1 rows"):
        Rows({"a": ["x"], "b": ["y", "z"]})
    with pytest.raises(ServeError, match="expected a column, found none"):
        Rows({})
    assert Rows({}, 4).count == len(Rows({}, 4)) == 4


def test_late_rows_are_laid_out_once_and_together():
    laid_out = []

    def lay_out(records):
        laid_out.append(list(records))
        return {"x": np.array(records)}

    parts = [LateRows([1, 2], lay_out), LateRows([3], lay_out), LateRows([4, 5, 6], lay_out)]
    whole = Rows.concat([*parts[:2], parts[2].take(1, 3)])
    assert (whole.count, laid_out) == (5, [])
    assert whole["x"].tolist() == [1, 2, 3, 5, 6]
    assert whole.take(1, 3)["x"].tolist() == [2, 3]
    assert whole.nbytes() == 40
    assert laid_out == [[1, 2, 3, 5, 6]]


def test_late_rows_and_others_are_joined():
    late = LateRows([1, 2], lambda records: {"x": np.array(records)})
    other = LateRows([3], lambda records: {"x": np.array(records)})
    assert Rows.concat([late, other, Rows({"x": np.array([4])})])["x"].tolist() == [1, 2, 3, 4]
    assert late.select(np.array([1]))["x"].tolist() == [2]
