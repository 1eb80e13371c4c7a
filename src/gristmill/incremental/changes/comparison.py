"""The rule of noise applied to a frame and its reference, both in memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.changes.noise import Noise
from gristmill.incremental.changes.padded_frame import PaddedFrame
from gristmill.incremental.changes.tiles import TileGrid
from gristmill.incremental.changes.window_sums import WindowSums

_BAND = 120_000  # numbers: with two more such buffers, what a second-level cache holds


class _Band(NamedTuple):
    window: WindowSums
    frame: NDArray[np.uint8]
    lowered: NDArray[np.uint16]
    sums: NDArray[np.uint16]
    peaks: NDArray[np.uint16]


class Comparison:
    """Finds the tiles that have changed, again and again for what two buffers hold.

    Args:
        grid: the tiles.
        noise: the rule.
        frame: the buffer of the frame.
        lowered: the buffer of its reference, of which each number is less by the threshold.
    """

    def __init__(
        self,
        grid: TileGrid,
        noise: Noise,
        frame: PaddedFrame[np.uint8],
        lowered: PaddedFrame[np.uint16],
    ) -> None:
        self._grid, self._noise = grid, noise
        tile_rows = max(1, _BAND // (3 * grid.tile * grid.tile * grid.columns))
        frames, references = frame.bands(tile_rows), lowered.bands(tile_rows)
        columns = frames[0].shape[1]
        self._sums = np.zeros((grid.rows * grid.tile, columns), np.uint16)
        self._peaks = np.zeros((grid.rows, columns), np.uint16)
        self._windows: dict[int, WindowSums] = {}
        self._bands = [
            self._band(each, below, row * tile_rows)
            for row, (each, below) in enumerate(zip(frames, references, strict=True))
        ]
        self._tiles = grid.cut(self._sums[:, : 3 * grid.tile * grid.columns], 3)

    @property
    def bytes(self) -> int:
        """What it takes in memory, the two frames apart."""
        windows = sum(each.bytes for each in self._windows.values())
        return self._sums.nbytes + self._peaks.nbytes + windows

    def changed(self) -> NDArray[np.bool_]:
        """Mark the tiles to which the rule applies: bool[rows, columns]."""
        calm = 2 * self._noise.threshold  # where no number differs by more, no mean does
        changed = np.zeros((self._grid.rows, self._grid.columns), np.bool_)
        stirred = False
        for window, frame, lowered, sums, peaks in self._bands:
            if not window.add_up(frame, lowered, sums, calm):
                peaks[...] = 0
                continue
            stirred = True
            by_row = sums.reshape(-1, self._grid.tile, sums.shape[1])
            np.maximum.reduce(by_row, axis=1, out=peaks)
        if not stirred:
            return changed
        places = self._touched()
        channels = self._tiles[places] > self._noise.limit
        pixels = channels[:, :, 0::3] | channels[:, :, 1::3] | channels[:, :, 2::3]
        self._grid.blank_outside(pixels, *places)
        changed[places] = np.count_nonzero(pixels, axis=(1, 2)) >= self._noise.pixels
        return changed

    def _touched(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        # The tiles with any sum beyond the limit.
        width = 3 * self._grid.tile
        peaks = self._peaks[:, : width * self._grid.columns]
        touched = np.zeros(self._grid.rows * self._grid.columns, np.bool_)
        touched[np.flatnonzero(peaks > self._noise.limit) // width] = True
        rows, columns = np.divmod(np.flatnonzero(touched), self._grid.columns)
        return rows, columns

    def _band(self, frame: NDArray[np.uint8], lowered: NDArray[np.uint16], row: int) -> _Band:
        height, columns = frame.shape
        window = self._windows.get(height)
        if window is None:
            window = self._windows[height] = WindowSums(self._noise.blur, height, columns)
        top, bottom = row * self._grid.tile, row * self._grid.tile + height - self._noise.blur + 1
        peaks = self._peaks[row : bottom // self._grid.tile]
        return _Band(window, frame, lowered, self._sums[top:bottom], peaks)
