"""Changes found by NumPy, in buffers that hold frames with their borders repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.changes.comparison import Comparison
from gristmill.incremental.changes.input_error import InputError
from gristmill.incremental.changes.noise import Noise
from gristmill.incremental.changes.padded_frame import PaddedFrame
from gristmill.incremental.changes.tiles import TileGrid


class ArrayFinder:
    """Finds changes where there is no C compiler; a `Finder`.

    Args:
        grid: the tiles.
        noise: the rule.
    """

    def __init__(self, grid: TileGrid, noise: Noise) -> None:
        self._grid, self._noise = grid, noise
        self._current: PaddedFrame[np.uint8] = PaddedFrame(grid, noise.margin, np.uint8)
        self._reference: PaddedFrame[np.uint8] = PaddedFrame(grid, 0, np.uint8)
        # The reference once more, each number less the threshold, as the window sums take it.
        self._lowered: PaddedFrame[np.uint16] = PaddedFrame(grid, noise.margin, np.uint16)
        self._comparison = Comparison(grid, noise, self._current, self._lowered)
        self._settled = False
        self.marked = 0

    @property
    def reference(self) -> NDArray[np.uint8]:
        """What the next frame is compared with, uint8[height, width, 3]."""
        return self._reference.pixels

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""
        frames = self._current.bytes + self._reference.bytes + self._lowered.bytes
        return frames + self._comparison.bytes

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Take a frame, uint8[height, width, 3], as the reference."""
        self._current.load(frame)
        self._renew(np.ones((self._grid.rows, self._grid.columns), np.bool_))
        self._settled = True
        self.marked = self._grid.rows * self._grid.columns

    def error(self) -> InputError:
        """Compare the reference with the last frame."""
        frame, reference = self._current.pixels, self._reference.pixels
        difference = np.maximum(frame, reference) - np.minimum(frame, reference)
        return InputError(int(difference.max()), float(difference.mean()))

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark what has changed, bool[rows, columns] of tiles, and renew the reference there."""
        if self._settled and self._repeated(frame):
            self.marked = 0
            return np.zeros((self._grid.rows, self._grid.columns), np.bool_)
        self._current.load(frame)
        changed = self._comparison.changed()
        self._renew(changed)
        self.marked = int(np.count_nonzero(changed))
        self._settled = not self.marked
        return changed

    def _repeated(self, frame: NDArray[np.uint8]) -> bool:
        # Nothing in the frame before differed from the reference, so nothing in the same one does.
        # A few rows tell most other frames apart.
        last, step = self._current.pixels, self._grid.tile
        few = np.array_equal(frame[::step], last[::step])
        return few and np.array_equal(frame, last)

    def _renew(self, changed: NDArray[np.bool_]) -> None:
        places = np.nonzero(changed)
        if len(places[0]) == 0:
            return
        tiles = self._current.tiles[places]
        self._reference.tiles[places] = tiles
        self._lowered.tiles[places] = tiles.astype(np.uint16) - self._noise.threshold
        if changed[[0, -1]].any() or changed[:, [0, -1]].any():
            self._lowered.repeat_border()
