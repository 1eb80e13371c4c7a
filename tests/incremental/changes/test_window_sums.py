from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from gristmill.incremental.changes.window_sums import WindowSums


def plain_sums(difference: np.ndarray, side: int) -> np.ndarray:
    """[height, width, 3] to the sums over all squares that lie in it."""
    windows = sliding_window_view(difference, (side, side), axis=(0, 1))
    return windows.sum(axis=(3, 4))


def window_sums(side: int, rows: int, columns: int) -> WindowSums:
    return WindowSums(
        side, rows, columns, np.zeros((WindowSums.BUFFERS, rows * columns), np.uint16)
    )


@settings(max_examples=40, deadline=None)
@given(
    side=st.sampled_from([1, 3, 5, 9]),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    extreme=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_are_those_of_every_square(side, rows, columns, extreme, seed):
    draws = np.random.default_rng(seed)
    shape = (rows + side - 1, columns + side - 1, 3)
    frame, reference = (draws.integers(0, 256, shape).astype(np.uint8) for _ in range(2))
    if extreme:
        frame, reference = (255 * (each > 127).astype(np.uint8) for each in (frame, reference))
    window = window_sums(side, shape[0], 3 * shape[1])
    for _ in range(2):  # what an earlier band left behind has no influence
        flat = frame.reshape(shape[0], -1), reference.reshape(shape[0], -1).astype(np.uint16)
        out = window.add_up(*flat, calm=-1)
    assert out is not None
    assert out.shape == (rows, 3 * shape[1])
    expected = plain_sums(frame.astype(int) - reference, side).reshape(rows, -1)
    found = out[:, : 3 * columns].astype(np.int16)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("side", [1, 3])
def test_a_calm_band_has_no_sums(side):
    window = window_sums(side, 8, 30)
    frame = np.full((8, 30), 7, np.uint8)
    reference = np.zeros((8, 30), np.uint16)
    assert window.add_up(frame, reference, calm=7) is None
    assert window.add_up(frame, reference, calm=6) is not None
    reference[-1, -1] = 8  # 7 - 8 is far above anything calm
    assert window.add_up(frame, reference, calm=7) is not None


@pytest.mark.parametrize(("side", "additions"), [(1, 0), (3, 4), (5, 6), (9, 8)])
def test_doubling_saves_additions(side, additions):
    assert len(window_sums(side, 20, 60)._additions) == additions
