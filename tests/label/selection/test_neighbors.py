from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.core.errors import LabelError
from gristmill.label.selection import neighbors
from gristmill.label.selection.neighbors import nearest, unit_rows

GRID = hnp.arrays(
    np.float64, st.tuples(st.integers(3, 12), st.integers(1, 3)),
    elements=st.sampled_from([-2.0, -1.0, 0.0, 1.0, 3.0]),
)  # fmt: skip


def slow_nearest(units, count, among):
    """Sort all the others of each row by (cosine, place)."""
    found = []
    for row in range(len(units)):
        others = [other for other in among if other != row]
        alike = units @ units[row]
        found.append(sorted(others, key=lambda other: (-alike[other], other))[:count])
    return np.array(found)


@given(GRID, st.data())
def test_finds_what_sorting_finds(features, data):
    units = unit_rows(features)
    # Cosines of equal angles may differ in the last bit; make them equal for both.
    units = np.round(units * 64) / 64
    among = np.array(sorted(data.draw(st.sets(st.integers(0, len(units) - 1), min_size=3))))
    count = data.draw(st.integers(1, len(among) - 1))
    found, cosines = nearest(units, count, among)
    np.testing.assert_array_equal(found, slow_nearest(units, count, among))
    expected = np.take_along_axis(units @ units.T, found, axis=1)
    np.testing.assert_allclose(cosines, expected, atol=1e-6)


def test_blocks_make_no_difference(monkeypatch):
    units = unit_rows(np.random.default_rng(0).normal(size=(50, 4)))
    whole, _ = nearest(units, 5, np.arange(50))
    monkeypatch.setattr(neighbors, "_BLOCK_BYTES", 4 * 50 * 7)
    np.testing.assert_array_equal(nearest(units, 5, np.arange(50))[0], whole)


def test_unit_rows():
    found = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [1e30, 0.0], [0.0, -1e-30]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [1, 0], [0, -1]])
    assert found.dtype == np.float32


def test_bad_features():
    with pytest.raises(
        LabelError, match=r"^expected features of shape \[rows, width\], numbers, f"
    ):
        unit_rows(np.zeros(3))
    with pytest.raises(LabelError, match=r"^row 1: expected features that are finite$"):
        unit_rows(np.array([[0.0], [np.inf]]))
