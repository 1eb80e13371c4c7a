from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.analysis.pairs import source_pairs


@settings(deadline=None)
@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 20), st.just(3)), elements=st.integers(-1, 2)),
    st.data(),
)
def test_pairs_equal_those_of_walking_over_the_rows(
    matrix: np.ndarray, data: st.DataObject
) -> None:
    of_row = data.draw(hnp.arrays(np.int64, len(matrix), elements=st.integers(-1, 2)))
    pairs = source_pairs(("a", "b", "c"), matrix, 3, of_row)
    lines = list(zip(matrix.tolist(), of_row.tolist(), strict=True))
    found = {(met.first, met.second): met for met in pairs.meetings}
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        both = sum(v[i] >= 0 and v[j] >= 0 for v, _ in lines)
        assert ((i, j) in found) == (both > 0)
        if not both:
            continue
        met = found[i, j]
        assert met.both == both
        assert met.same == sum(v[i] >= 0 and v[i] == v[j] for v, _ in lines)
        assert met.judged == sum(v[i] >= 0 and v[i] == v[j] and y >= 0 for v, y in lines)
        expected, most = 0.0, 0
        for label in range(3):
            of_class = [v for v, y in lines if y == label]
            for said in range(3):
                one = sum(v[i] == said for v in of_class)
                two = sum(v[j] == said for v in of_class)
                expected += one * two / max(len(of_class), 1)
                most += min(one, two)
        assert met.expected == pytest.approx(expected)
        assert met.most == most


def test_independent_sources_have_no_excess_and_a_copy_has_all() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 4000)
    right = rng.random((4000, 2)) < 0.8
    said = np.where(right, truth[:, None], 1 - truth[:, None])
    matrix = np.column_stack([said, said[:, 0]]).astype(np.int8)
    pairs = source_pairs(("a", "b", "copy"), matrix, 2, truth)
    excess = pairs.excess()
    assert abs(excess[0][1] or 0) < 0.06
    assert excess[0][2] == pytest.approx(1.0)
    assert [(p.first, p.second) for p in pairs.alike()] == [("a", "copy")]
    assert {name: (p.first, p.second) for name, p in pairs.partners().items()}["a"] == ("a", "copy")


def test_unipolar_sources_that_meet_too_often_show() -> None:
    """They agree wherever they meet, so agreement alone says nothing."""
    truth = np.repeat([0, 1], 1000)
    matrix = np.full((2000, 3), -1, np.int8)
    matrix[:300, 0] = 0
    matrix[:300, 1] = 0
    matrix[np.arange(0, 1000, 4), 2] = 0
    pairs = source_pairs(("a", "b", "apart"), matrix, 2, truth)
    assert pairs.agreement()[0][1] == pairs.agreement()[0][2] == 1.0
    assert pairs.excess()[0][1] == pytest.approx(1.0)
    assert pairs.excess()[0][2] == pytest.approx(0.0)
    assert "apart" not in pairs.partners()


def test_nothing_is_expected_where_no_class_is_known() -> None:
    matrix = np.array([[0, 0], [1, 0]], np.int8)
    pairs = source_pairs(("a", "b"), matrix, 2, np.full(2, -1))
    (pair,) = pairs
    assert (pair.rows, pair.both, pair.expected, pair.excess) == (1, 2, 0.0, 0.0)
    assert pairs.excess()[0][1] is None
    assert pairs.partners() == {}
