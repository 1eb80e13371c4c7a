"""Frames of one stream compared with what the network saw last, tile by tile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.incremental.changes.comparison import Comparison
from gristmill.incremental.changes.noise import DECODED, Noise
from gristmill.incremental.changes.padded_frame import PaddedFrame
from gristmill.incremental.changes.tiles import TileGrid

TILE = 8
"""Side of a tile in pixels: fine enough that little is recomputed around what has changed."""

_SMALLEST_TILE, _LARGEST_TILE = 4, 256


class InputError(NamedTuple):
    """How far the reference is from the true frame: the error that ignoring noise makes.

    Attributes:
        largest: of all absolute differences, in grey levels of 0 to 255.
        mean: of all absolute differences.
    """

    largest: int
    mean: float


class ChangeDetector:
    """Marks the tiles of each frame that differ from the reference, and renews those alone.

    The reference holds, tile by tile, the pixels of the last frame in which that tile was marked.
    What slowly changes is thus compared with what the network saw, not with the frame before, and
    is marked before it has gone further than noise may.

    After `update`, marked tiles of the reference are those of the frame bit for bit, and the others
    are as before: to them the rule of `noise` does not apply. The rule looks at the reference as it
    was before the update. Where differences on both sides of a tile's border had cancelled out and
    one side was renewed, the other side is marked by the next frame, even if that is the same.

    Args:
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        tile: side of a tile, in pixels.
        noise: what isn't a change.

    Attributes:
        grid: the tiles.

    Raises:
        UsageError: no such size of frame or tile.
    """

    def __init__(
        self, height: int, width: int, *, tile: int = TILE, noise: Noise = DECODED
    ) -> None:
        if min(height, width) < 1:
            raise UsageError(f"a frame has at least one pixel, found {width}x{height}")
        if not _SMALLEST_TILE <= tile <= _LARGEST_TILE:
            raise UsageError(
                f"a tile is {_SMALLEST_TILE} to {_LARGEST_TILE} pixels wide, not {tile}",
                fix="8 suits frames of 320x240 to 1280x720, 16 larger ones",
            )
        if noise.pixels > tile * tile:
            raise UsageError(
                f"a change takes {noise.pixels} pixels, but a tile has only {tile * tile}"
            )
        self.grid = TileGrid(height, width, tile)
        self._noise = noise
        self._current: PaddedFrame[np.uint8] = PaddedFrame(self.grid, noise.margin, np.uint8)
        self._reference: PaddedFrame[np.uint8] = PaddedFrame(self.grid, 0, np.uint8)
        # The reference once more, each number less the threshold, as the window sums take it.
        self._lowered: PaddedFrame[np.uint16] = PaddedFrame(self.grid, noise.margin, np.uint16)
        self._comparison = Comparison(self.grid, noise, self._current, self._lowered)
        self._begun = False
        self._settled = False

    @property
    def reference(self) -> NDArray[np.uint8]:
        """What the network sees: uint8[height, width, 3], a view that can't be written to."""
        view: NDArray[np.uint8] = self._reference.pixels.view()
        view.flags.writeable = False
        return view

    @property
    def bytes(self) -> int:
        """What is kept for the stream, in bytes."""
        frames = self._current.bytes + self._reference.bytes + self._lowered.bytes
        return frames + self._comparison.bytes

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark what has changed, and renew the reference there.

        Args:
            frame: uint8[height, width, 3], red first; it isn't kept.

        Returns:
            bool[rows, columns], one element a tile; all of them for the first frame.

        Raises:
            UsageError: the frame is of another size, number of channels or kind of number.
        """
        self._check(frame)
        if not self._begun:
            self._current.load(frame)
            changed = np.ones((self.grid.rows, self.grid.columns), np.bool_)
            self._renew(changed)
            self._begun = self._settled = True
            return changed
        if self._settled and self._repeated(frame):
            return np.zeros((self.grid.rows, self.grid.columns), np.bool_)
        self._current.load(frame)
        changed = self._comparison.changed()
        self._renew(changed)
        self._settled = not changed.any()
        return changed

    def reset(self) -> None:
        """Forget the stream: all of the next frame is marked."""
        self._begun = False

    def error(self) -> InputError:
        """Compare the reference with the last frame."""
        frame, reference = self._current.pixels, self._reference.pixels
        difference = np.maximum(frame, reference) - np.minimum(frame, reference)
        return InputError(int(difference.max()), float(difference.mean()))

    def _check(self, frame: object) -> None:
        expected = (self.grid.height, self.grid.width, 3)
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            kind = getattr(frame, "dtype", type(frame).__name__)
            raise UsageError(f"a frame is an array of uint8, found {kind}")
        if frame.shape != expected:
            raise UsageError(
                f"the frames of this stream are {list(expected)} (height, width, red-green-blue), "
                f"found {list(frame.shape)}",
                fix="begin a new stream when the resolution changes",
            )

    def _repeated(self, frame: NDArray[np.uint8]) -> bool:
        # Nothing in the frame before differed from the reference, so nothing in the same one does.
        # A few rows tell most other frames apart.
        last, step = self._current.pixels, self.grid.tile
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
