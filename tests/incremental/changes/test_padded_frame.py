from __future__ import annotations

import numpy as np
import pytest

from gristmill.incremental.changes.padded_frame import PaddedFrame
from gristmill.incremental.changes.tiles import TileGrid


def frame_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("margin", [0, 2, 4])
@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 13), (1, 1), (3, 40)])
def test_the_border_is_repeated_up_to_whole_tiles_and_the_margin(height, width, margin):
    grid = TileGrid(height, width, 4)
    padded: PaddedFrame[np.uint8] = PaddedFrame(grid, margin, np.uint8)
    frame = frame_of(height, width)
    padded.load(frame)
    below, beyond = grid.rows * 4 - height, grid.columns * 4 - width
    expected = np.pad(
        frame, ((margin, margin + below), (margin, margin + beyond), (0, 0)), mode="edge"
    )
    [band] = padded.bands(grid.rows)
    assert np.array_equal(band, expected.reshape(len(expected), -1))
    assert np.array_equal(padded.pixels, frame)
    assert padded.bytes == expected.nbytes


def test_bands_overlap_by_the_margins_and_the_last_may_be_lower():
    grid = TileGrid(18, 8, 4)
    padded: PaddedFrame[np.uint16] = PaddedFrame(grid, 2, np.uint16)
    padded.load(np.arange(18 * 8 * 3, dtype=np.uint16).reshape(18, 8, 3))
    bands = padded.bands(2)
    assert [band.shape for band in bands] == [(12, 36), (12, 36), (8, 36)]
    assert np.array_equal(bands[0][8:], bands[1][:4])
    assert np.shares_memory(bands[0], bands[1])


def test_tiles_are_written_through():
    padded: PaddedFrame[np.uint8] = PaddedFrame(TileGrid(8, 8, 4), 2, np.uint8)
    padded.load(np.zeros((8, 8, 3), np.uint8))
    padded.tiles[1, 0] = 7
    assert (padded.pixels[4:, :4] == 7).all()
    assert padded.pixels.sum() == 7 * 48
    padded.repeat_border()
    assert padded.bands(2)[0].sum() == 7 * 3 * 6 * 6
