from __future__ import annotations

import numpy as np
import pytest

from gristmill.incremental.changes.tiles import TileGrid


@pytest.mark.parametrize(
    ("height", "width", "tile", "rows", "columns"),
    [(360, 640, 16, 23, 40), (352, 640, 16, 22, 40), (1, 1, 16, 1, 1), (17, 16, 16, 2, 1)],
)
def test_tiles_cover_the_frame(height, width, tile, rows, columns):
    grid = TileGrid(height, width, tile)
    assert (grid.rows, grid.columns) == (rows, columns)


def test_cutting_gives_a_view_of_each_tile():
    grid = TileGrid(7, 10, 4)
    values = np.arange(8 * 36).reshape(8, 36)
    tiles = grid.cut(values, 3)
    assert tiles.shape == (2, 3, 4, 12)
    assert np.array_equal(tiles[1, 2], values[4:8, 24:36])
    tiles[0, 1] = -1
    assert (values[0:4, 12:24] == -1).all()
    assert (values == -1).sum() == 48


def test_pixels_beyond_the_frame_are_blanked_in_the_last_tiles_alone():
    grid = TileGrid(6, 7, 4)
    rows, columns = np.divmod(np.arange(4), 2)
    pixels = np.ones((4, 4, 4), bool)
    grid.blank_outside(pixels, rows, columns)
    assert pixels.sum(axis=(1, 2)).tolist() == [16, 12, 8, 6]
    assert not pixels[3, 2:].any()
    assert not pixels[3, :, 3:].any()


def test_nothing_is_blanked_where_all_tiles_are_whole():
    pixels = np.ones((1, 4, 4), bool)
    TileGrid(8, 8, 4).blank_outside(pixels, np.array([1]), np.array([1]))
    assert pixels.all()
