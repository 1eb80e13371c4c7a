"""A frame in memory, filled up to whole tiles, with its border repeated around it."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gristmill.incremental.changes.tiles import TileGrid

Number = TypeVar("Number", np.uint8, np.uint16)


class PaddedFrame(Generic[Number]):
    """A frame that is read in bands of some rows of tiles, and written by tiles.

    Args:
        grid: the tiles.
        margin: how many pixels are added around the whole tiles, each a copy of the nearest pixel
            of the frame.
        dtype: of its numbers.

    Attributes:
        pixels: the frame itself, a view: [height, width, 3].
        tiles: a view, [rows, columns, tile, 3 tile].
    """

    def __init__(self, grid: TileGrid, margin: int, dtype: DTypeLike) -> None:
        self._grid = grid
        self._margin = margin
        tile = grid.tile
        height, width = grid.rows * tile + 2 * margin, grid.columns * tile + 2 * margin
        self._buffer: NDArray[Number] = np.zeros((height, width, 3), dtype)
        self.pixels: NDArray[Number] = self._buffer[
            margin : margin + grid.height, margin : margin + grid.width
        ]
        self._flat: NDArray[Number] = self._buffer.reshape(height, 3 * width)
        inner = self._flat[margin : margin + grid.rows * tile, 3 * margin : 3 * (width - margin)]
        self.tiles: NDArray[Number] = grid.cut(inner, 3)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return self._buffer.nbytes

    def bands(self, tile_rows: int) -> list[NDArray[Number]]:
        """View some rows of tiles at a time, the last band may have fewer.

        Returns:
            Pixels with the margin on all sides, channels side by side:
            [tile_rows x tile + 2 margin, 3 (columns x tile + 2 margin)].
        """
        height = self._grid.rows * self._grid.tile
        step, margins = tile_rows * self._grid.tile, 2 * self._margin
        return [
            self._flat[top : min(top + step, height) + margins] for top in range(0, height, step)
        ]

    def load(self, frame: NDArray[Number]) -> None:
        """Take over a whole frame, [height, width, 3]."""
        self.pixels[...] = frame
        self.repeat_border()

    def repeat_border(self) -> None:
        """Renew what lies around the frame."""
        top = left = self._margin
        bottom, right = top + self._grid.height, left + self._grid.width
        rows = self._buffer[top:bottom]
        rows[:, :left] = rows[:, left : left + 1]
        rows[:, right:] = rows[:, right - 1 : right]
        self._buffer[:top] = self._buffer[top]
        self._buffer[bottom:] = self._buffer[bottom - 1]
