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
    """Two stretches of numbers that are added, and where the sums go."""

    one: NDArray[np.uint16]
    other: NDArray[np.uint16]
    out: NDArray[np.uint16]


class WindowSums:
    """Adds up bands of one shape.

    All arithmetic is modulo 65536. Sums over up to 9 x 9 differences of bytes stay apart in it.

    Args:
        side: of the square: 1, or one more than a power of two.
        rows: of a band, with (side - 1) / 2 above and below.
        columns: three times the pixels of a row, with as many left and right.
        buffers: uint16[BUFFERS, rows x columns or more]; what takes turns may share them.
    """

    BUFFERS = 3

    def __init__(self, side: int, rows: int, columns: int, buffers: NDArray[np.uint16]) -> None:
        self._buffers = [each[: rows * columns] for each in buffers]
        self._difference = self._buffers[0].reshape(rows, columns)
        self._additions: list[Addition] = []
        total = self._buffers[0]
        if side > 1:
            total = self._plan(self._plan(total, side, columns), side, 3)
        (sums,) = [each for each in self._buffers if np.shares_memory(each, total)]
        self._sums: NDArray[np.uint16] = sums.reshape(rows, columns)[: rows - side + 1]

    def add_up(
        self, frame: NDArray[np.uint8], reference: NDArray[np.uint16], calm: int
    ) -> NDArray[np.uint16] | None:
        """Sum up the differences of a band from its reference, unless it is calm.

        Args:
            frame: channels side by side, uint8[rows, columns].
            reference: what is subtracted, uint16[rows, columns].
            calm: a band with no difference above it is calm: no sums are made.

        Returns:
            uint16[rows - side + 1, columns], until the buffers are used again: element [y, x] is
            the sum of a square whose upper left corner is [y, x] in the band. The last
            3 (side - 1) columns mean nothing. None of a calm band.
        """
        np.copyto(self._difference, frame)
        np.subtract(self._difference, reference, out=self._difference)
        if self._difference.max() <= calm:
            return None
        for one, other, out in self._additions:
            np.add(one, other, out=out)
        return self._sums

    def _plan(self, values: NDArray[np.uint16], count: int, step: int) -> NDArray[np.uint16]:
        # Plan sums of `count` values that lie `step` apart, one from each place on.
        free = [each for each in self._buffers if not np.shares_memory(each, values)]
        total, width = values, 1
        while width < count:
            doubles = 2 * width < count
            added, shift = (total if doubles else values), width * step
            size = len(added) - shift
            self._additions.append(Addition(total[:size], added[shift:], free[0][:size]))
            total, width = free[0][:size], 2 * width if doubles else width + 1
            free.reverse()
        return total
