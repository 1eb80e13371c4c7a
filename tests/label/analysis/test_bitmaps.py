from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.label.analysis import bitmaps

CELLS = hnp.arrays(bool, st.tuples(st.integers(1, 5), st.sampled_from([64, 128])))


@settings(deadline=None)
@given(CELLS)
def test_bits_count_as_the_cells_do(cells: np.ndarray) -> None:
    bits = bitmaps.pack(cells)
    assert bits.shape == (len(cells), cells.shape[1] // 64)
    assert bitmaps.ones(bits).tolist() == cells.sum(axis=1).tolist()
    once, twice = bitmaps.once_twice(bits)
    assert int(bitmaps.ones(once)) == (cells.sum(axis=0) >= 1).sum()
    assert int(bitmaps.ones(twice)) == (cells.sum(axis=0) >= 2).sum()
    pairs = [[int((one & two).sum()) for two in cells] for one in cells]
    assert bitmaps.common(bits).tolist() == pairs


@settings(deadline=None)
@given(CELLS)
def test_counting_by_table_equals_counting_by_instruction(cells: np.ndarray) -> None:
    bits = bitmaps.pack(cells)
    assert np.array_equal(bitmaps.popcount(bits), np.bitwise_count(bits))


@pytest.mark.parametrize("classes", [3, 40])
@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 1000])
def test_blocks_hold_every_row_once(
    rows: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bitmaps, "_BLOCK_CELLS", 3 * 128)
    rng = np.random.default_rng(rows)
    matrix = rng.integers(-1, classes, (rows, 3)).astype(np.int8)
    said = np.zeros((3, classes), int)
    for block in bitmaps.blocks(matrix):
        assert block.columns.shape[1] % 64 == 0
        for label, sources, cells in block.by_class(classes):
            said[sources, label] += bitmaps.ones(cells)
    expected = [[int((column == label).sum()) for label in range(classes)] for column in matrix.T]
    assert said.tolist() == expected


def test_rows_of_a_block_become_a_bitmap() -> None:
    bits = bitmaps.pack_rows(np.ones(70, bool), words=2)
    assert bits.shape == (2,)
    assert int(bitmaps.ones(bits)) == 70
