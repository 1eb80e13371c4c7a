"""Frames of one stream compared with what the network saw last, tile by tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.incremental.changes.array_finder import ArrayFinder
from gristmill.incremental.changes.finder import Finder
from gristmill.incremental.changes.input_error import InputError
from gristmill.incremental.changes.native_finder import NativeFinder
from gristmill.incremental.changes.noise import DECODED, Noise
from gristmill.incremental.changes.tiles import TileGrid
from gristmill.incremental.kernels.native.library import library

TILE = 8
"""Side of a tile in pixels: fine enough that little is recomputed around what has changed."""

_SMALLEST_TILE, _LARGEST_TILE = 4, 256


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
        native = library()
        self._finder: Finder = (
            ArrayFinder(self.grid, noise)
            if native is None
            else NativeFinder(self.grid, noise, native)
        )
        self._begun = False

    @property
    def reference(self) -> NDArray[np.uint8]:
        """What the network sees: uint8[height, width, 3], a view that can't be written to."""
        view: NDArray[np.uint8] = self._finder.reference.view()
        view.flags.writeable = False
        return view

    @property
    def marked(self) -> int:
        """How many tiles the last frame has changed; of one that was taken, all."""
        return self._finder.marked

    @property
    def bytes(self) -> int:
        """What is kept for the stream, in bytes."""
        return self._finder.bytes

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark what has changed, and renew the reference there.

        Args:
            frame: uint8[height, width, 3], red first; it isn't kept.

        Returns:
            bool[rows, columns], one element a tile; all of them for the first frame.

        Raises:
            UsageError: the frame is of another size, number of channels or kind of number.
        """
        if not self._begun:
            return self.take(frame)
        self._check(frame)
        return self._finder.update(frame)

    def take(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Take a frame as it is, whatever has changed: it becomes the reference.

        Args:
            frame: uint8[height, width, 3], red first; it isn't kept.

        Returns:
            bool[rows, columns], all of them marked.

        Raises:
            UsageError: the frame is of another size, number of channels or kind of number.
        """
        self._check(frame)
        self._finder.begin(frame)
        self._begun = True
        return np.ones((self.grid.rows, self.grid.columns), np.bool_)

    def reset(self) -> None:
        """Forget the stream: all of the next frame is marked."""
        self._begun = False

    def error(self) -> InputError:
        """Compare the reference with the last frame."""
        return self._finder.error()

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
