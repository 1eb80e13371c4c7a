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
    row: int  # of tiles, the band's first


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
        self._buffers = np.empty((WindowSums.BUFFERS, frames[0].size), np.uint16)
        windows = {
            (rows, columns): WindowSums(noise.blur, rows, columns, self._buffers)
            for rows, columns in {each.shape for each in frames}
        }
        self._bands = [
            _Band(windows[each.shape], each, below, number * tile_rows)
            for number, (each, below) in enumerate(zip(frames, references, strict=True))
        ]

    @property
    def bytes(self) -> int:
        """What it takes in memory, the two frames apart."""
        return self._buffers.nbytes

    def changed(self) -> NDArray[np.bool_]:
        """Mark the tiles to which the rule applies: bool[rows, columns]."""
        calm = 2 * self._noise.threshold  # where no number differs by more, no mean does
        changed = np.zeros((self._grid.rows, self._grid.columns), np.bool_)
        for window, frame, lowered, row in self._bands:
            sums = window.add_up(frame, lowered, calm)
            if sums is not None:
                self._mark(sums, row, changed)
        return changed

    def _mark(self, sums: NDArray[np.uint16], row: int, changed: NDArray[np.bool_]) -> None:
        """Mark the tiles of a band that begins with this row of tiles."""
        grid, width = self._grid, 3 * self._grid.tile
        sums = sums[:, : width * grid.columns]
        peaks = sums.reshape(-1, grid.tile, sums.shape[1]).max(axis=1)
        # The tiles with any sum beyond the limit.
        touched = np.zeros(len(peaks) * grid.columns, np.bool_)
        touched[np.flatnonzero(peaks > self._noise.limit) // width] = True
        rows, columns = np.divmod(np.flatnonzero(touched), grid.columns)
        if len(rows) == 0:
            return
        channels = grid.cut(sums, 3)[rows, columns] > self._noise.limit
        pixels = channels[:, :, 0::3] | channels[:, :, 1::3] | channels[:, :, 2::3]
        rows += row
        grid.blank_outside(pixels, rows, columns)
        changed[rows, columns] = np.count_nonzero(pixels, axis=(1, 2)) >= self._noise.pixels
