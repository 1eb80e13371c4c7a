"""Sums of differences over the square around each pixel, a band of rows at a time.

A band (68 rows of 640 pixels, say) stays in the second-level cache through all of its passes, each
of which is one addition of 16-bit numbers laid end to end: neighbours in a square are neighbours in
memory, one row or one pixel apart. Sums of 5 take three additions: of 2, of 4, then one more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Addition(NamedTuple):
    """Two stretches of numbers that are added, and where the sums go; None: to the caller."""

    one: NDArray[np.uint16]
    other: NDArray[np.uint16]
    out: NDArray[np.uint16] | None


class WindowSums:
    """Adds up bands of one shape; holds the memory that this takes.

    All arithmetic is modulo 65536. Sums over up to 9 x 9 differences of bytes stay apart in it.

    Args:
        side: of the square: 1, or one more than a power of two.
        rows: of a band, with (side - 1) / 2 above and below.
        columns: three times the pixels of a row, with as many left and right.
    """

    def __init__(self, side: int, rows: int, columns: int) -> None:
        self._buffers = [np.empty((rows, columns), np.uint16) for _ in range(3)]
        self._additions: list[Addition] = []
        if side > 1:
            down = self._plan(self._buffers[0].reshape(-1), side, columns)
            self._plan(down, side, 3)
            self._additions[-1] = self._additions[-1]._replace(out=None)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return sum(each.nbytes for each in self._buffers)

    def add_up(
        self,
        frame: NDArray[np.uint8],
        reference: NDArray[np.uint16],
        out: NDArray[np.uint16],
        calm: int,
    ) -> bool:
        """Sum up the differences of a band from its reference, unless it is calm.

        Args:
            frame: channels side by side, uint8[rows, columns].
            reference: what is subtracted, uint16[rows, columns].
            out: takes the sums, uint16[rows - side + 1, columns]: element [y, x] is that of a
                square whose upper left corner is [y, x] in the band. Its last 3 (side - 1) columns
                mean nothing.
            calm: a band with no difference above it is calm: no sums are made.

        Returns:
            Whether there are sums.
        """
        difference = self._buffers[0] if self._additions else out
        np.copyto(self._buffers[0], frame)
        np.subtract(self._buffers[0], reference, out=difference)
        if difference.max() <= calm:
            return False
        sums = out.reshape(-1)
        for one, other, total in self._additions:
            np.add(one, other, out=sums[: len(one)] if total is None else total)
        return True

    def _plan(self, values: NDArray[np.uint16], count: int, step: int) -> NDArray[np.uint16]:
        # Plan sums of `count` values that lie `step` apart, one from each place on.
        flat = (each.reshape(-1) for each in self._buffers)
        free = [each for each in flat if not np.shares_memory(each, values)]
        total, width = values, 1
        while width < count:
            doubles = 2 * width < count
            added, shift = (total if doubles else values), width * step
            size = len(added) - shift
            self._additions.append(Addition(total[:size], added[shift:], free[0][:size]))
            total, width = free[0][:size], 2 * width if doubles else width + 1
            free.reverse()
        return total
