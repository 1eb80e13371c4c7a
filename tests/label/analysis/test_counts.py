from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.analysis import bitmaps
from gristmill.label.analysis.counts import clashing, count_right, count_votes

MATRICES = hnp.arrays(
    np.int8, st.tuples(st.integers(0, 12), st.integers(1, 5)), elements=st.integers(-1, 3)
)


@settings(deadline=None)
@given(MATRICES)
def test_counts_equal_those_of_walking_over_the_rows(matrix: np.ndarray) -> None:
    counts = count_votes(matrix, 4)
    rows = [[vote for vote in line if vote >= 0] for line in matrix.tolist()]
    assert counts.covered == sum(len(line) > 0 for line in rows)
    assert counts.many == sum(len(line) > 1 for line in rows)
    assert counts.clash == sum(len(set(line)) > 1 for line in rows)
    for source in range(matrix.shape[1]):
        mine = [
            (line[source], [v for at, v in enumerate(line) if at != source and v >= 0])
            for line in matrix.tolist()
            if line[source] >= 0
        ]
        assert counts.said[source].tolist() == [sum(v == c for v, _ in mine) for c in range(4)]
        assert counts.overlaps[source] == sum(bool(others) for _, others in mine)
        assert counts.conflicts[source] == sum(any(o != v for o in others) for v, others in mine)
        assert counts.echoed[source] == sum(v in others for v, others in mine)


@settings(deadline=None)
@given(MATRICES, st.data())
def test_right_votes_equal_those_of_walking_over_the_rows(
    matrix: np.ndarray, data: st.DataObject
) -> None:
    truth = data.draw(hnp.arrays(np.int64, len(matrix), elements=st.integers(-1, 3)))
    right, total = count_right(matrix, truth)
    for source, column in enumerate(matrix.T.tolist()):
        judged = [(v, t) for v, t in zip(column, truth.tolist(), strict=True) if t >= 0 and v >= 0]
        assert total[source] == len(judged)
        assert right[source] == sum(v == t for v, t in judged)


@settings(deadline=None)
@given(MATRICES)
def test_clashing_rows_hold_two_classes(matrix: np.ndarray) -> None:
    expected = [len({vote for vote in line if vote >= 0}) > 1 for line in matrix.tolist()]
    assert clashing(matrix).tolist() == expected


@pytest.mark.parametrize("classes", [2, 300])
def test_blocks_and_many_classes_change_nothing(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    dtype = np.int16 if classes > 127 else np.int8
    matrix = np.asfortranarray(rng.integers(-1, classes, (777, 4)).astype(dtype))
    whole = count_votes(matrix, classes)
    monkeypatch.setattr(bitmaps, "_BLOCK_CELLS", 256)
    monkeypatch.setattr(bitmaps, "_FEW_CLASSES", 1)
    parts = count_votes(matrix, classes)
    assert np.array_equal(whole.said, parts.said)
    assert np.array_equal(whole.echoed, parts.echoed)
    assert (whole.covered, whole.many, whole.clash) == (parts.covered, parts.many, parts.clash)
    assert np.array_equal(clashing(matrix), clashing(np.ascontiguousarray(matrix)))
