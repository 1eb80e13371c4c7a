"""Answers of classes: the label of the largest probability, and of the first of equal ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.runners.labels import ClassRows

CLASSES = ["a", "b", "c"]


@given(st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=3, max_size=3)))
def test_each_row_has_its_largest(probs):
    rows = ClassRows(CLASSES, np.array(probs, np.float64).reshape(-1, 3))
    assert rows.count == len(probs)
    assert rows["label"] == [CLASSES[each.index(max(each))] for each in probs]
    assert rows["prob"].tolist() == [max(each) for each in probs]
    assert rows["probs"].tolist() == probs


def test_labels_are_spelled_out_only_when_somebody_looks() -> None:
    rows = ClassRows(CLASSES, np.eye(3)[[2, 0]])
    assert (rows.best.tolist(), list(rows.numbers)) == ([2, 0], ["prob", "probs"])
    rows.classes = ["x", "y", "z"]
    assert rows["label"] == ["z", "x"]
    assert list(rows.columns) == ["label", "prob", "probs"]
    assert rows.take(1, 2)["label"] == ["x"]
