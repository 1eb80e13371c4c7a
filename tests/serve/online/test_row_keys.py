import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.online.row_keys import own_row, row_keys
from gristmill.serve.runners.rows import Ragged, Rows


def test_equal_rows_have_equal_keys_whatever_their_company():
    together = Rows({"a": ["x", "y", "x"], "b": np.array([1, 2, 1])})
    keys = row_keys(together, b"p")
    assert keys[0] == keys[2] != keys[1]
    assert row_keys(together.take(1, 2), b"p") == [keys[1]]
    assert row_keys(Rows({"b": np.array([2]), "a": ["y"]}), b"p") == [keys[1]]


def test_prefix_names_types_and_shapes_count():
    rows = [
        Rows({"a": np.array([1], np.int64)}),
        Rows({"b": np.array([1], np.int64)}),
        Rows({"a": np.array([1], np.int32)}),
        Rows({"a": np.array([[1]], np.int64)}),
        Rows({"a": Ragged.of([np.array([1], np.int64)])}),
        Rows({"a": ["1"]}),
        Rows({"a": [1]}),
        Rows({"a": [None]}),
        Rows({"a": [True]}),
    ]
    keys = [row_keys(each)[0] for each in rows]
    assert len({*keys, *(row_keys(each, b"p")[0] for each in rows)}) == 2 * len(rows)


values = st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=1, max_size=6)


@given(values)
def test_texts_never_run_into_each_other(pairs):
    keys = row_keys(Rows({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}))
    assert [keys.index(key) for key in keys] == [pairs.index(pair) for pair in pairs]


@given(st.lists(st.lists(st.integers(0, 1), max_size=3), min_size=1, max_size=6))
def test_rows_of_free_length_are_told_apart(lists):
    column = Ragged.of([np.array(each, np.int8) for each in lists])
    keys = row_keys(Rows({"a": column, "b": column}))
    assert [keys.index(key) for key in keys] == [lists.index(each) for each in lists]


def test_an_own_row_shares_no_memory():
    ragged = Ragged.of([np.arange(3), np.arange(5)])
    rows = Rows({"a": np.arange(6).reshape(2, 3), "b": ["x", "y"], "c": ragged})
    own = own_row(rows, 1)
    assert own["a"].tolist() == [[3, 4, 5]]
    assert own["b"] == ["y"]
    assert own["c"][0].tolist() == [0, 1, 2, 3, 4]
    assert not np.shares_memory(own["a"], rows["a"])
    assert not np.shares_memory(own["c"].values, ragged.values)
