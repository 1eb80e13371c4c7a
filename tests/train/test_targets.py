from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.targets import join_labels

CLASSES = ["a", "b", "c"]


@given(
    ids=st.lists(st.integers(-50, 50), unique=True, min_size=1, max_size=20),
    labelled=st.dictionaries(st.integers(-50, 50), st.integers(-1, 2), max_size=20),
)
def test_join_equals_a_look_up(ids, labelled):
    table = pl.DataFrame({"row_id": ids}, schema={"row_id": pl.Int64})
    labels = pl.DataFrame(
        {
            "row_id": list(labelled),
            "label": list(labelled.values()),
            "weight": [abs(each) / 50 for each in labelled],
        },
        schema={"row_id": pl.Int64, "label": pl.Int64, "weight": pl.Float64},
    )
    rows, targets, weights = join_labels(table, labels, CLASSES)
    expected = [place for place, each in enumerate(ids) if labelled.get(each, -1) >= 0]
    assert rows.tolist() == expected
    assert targets.argmax(axis=1).tolist() == [labelled[ids[place]] for place in expected]
    assert targets.sum() == len(expected)
    assert (
        weights.tolist()
        == pl.Series([abs(ids[place]) / 50 for place in expected], dtype=pl.Float32).to_list()
    )


def test_soft_labels_of_list_and_array_type_agree():
    table = pl.DataFrame({"row_id": [1, 2, 3]})
    labels = pl.DataFrame({"row_id": [3, 1], "probs": [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]})
    fixed = labels.with_columns(pl.col("probs").cast(pl.Array(pl.Float64, 3)))
    for each in (labels, fixed):
        rows, targets, weights = join_labels(table, each, CLASSES)
        assert rows.tolist() == [0, 2]
        assert targets.tolist() == [[0, 0, 1], [0.5, 0.25, 0.25]]
        assert weights.tolist() == [1, 1]


def test_nothing_known_is_no_rows():
    table = pl.DataFrame({"row_id": [1, 2]})
    labels = pl.DataFrame({"row_id": [1, 2], "label": [-1, -1], "probs": [[0.5, 0.5, 0]] * 2})
    rows, targets, weights = join_labels(table, labels, CLASSES)
    assert (rows.shape, targets.shape, weights.shape) == ((0,), (0, 3), (0,))
