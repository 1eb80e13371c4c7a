"""Where each value's patches lie, for a batch of positions: one size, and an origin each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.occlusion.footprints import Intervals
from gristmill.incremental.regions.rectangle import Rectangle

WHOLE = 0.85
"""From this share of a map on, all of it is computed: to cut patches out would cost as much."""


class Places(NamedTuple):
    """Rectangles of one size, one for each position of a batch.

    Args:
        height: of each, in pixels.
        width: of each, in pixels.
        tops: int64[positions]; may be outside the map where it is padding that is read.
        lefts: int64[positions].
    """

    height: int
    width: int
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]

    @classmethod
    def of(cls, rectangles: Sequence[Rectangle]) -> Places:
        """Make them of rectangles of one size."""
        first = rectangles[0]
        tops = np.array([each.top for each in rectangles], np.int64)
        lefts = np.array([each.left for each in rectangles], np.int64)
        return cls(first.height, first.width, tops, lefts)

    def rectangles(self) -> list[Rectangle]:
        """One by one."""
        return [
            Rectangle(top, left, top + self.height, left + self.width)
            for top, left in zip(self.tops.tolist(), self.lefts.tolist(), strict=True)
        ]

    @classmethod
    def whole(cls, shape: Shape, count: int) -> Places:
        """All of a value, for each of `count` positions."""
        origin = np.zeros(count, np.int64)
        return cls(*extent(shape), origin, origin)

    def cover(self, shape: Shape) -> bool:
        """Whether each is the whole of a value."""
        return self.same(Places.whole(shape, len(self.tops)))

    def same(self, other: Places) -> bool:
        """Whether all rectangles are the same."""
        return (
            self[:2] == other[:2]
            and np.array_equal(self.tops, other.tops)
            and np.array_equal(self.lefts, other.lefts)
        )


def places(
    rows: Sequence[Intervals], columns: Sequence[Intervals], shapes: Sequence[Shape]
) -> list[Places | None]:
    """Return the places of each value's patches, and of the frame's behind them.

    Patches are as large as the largest footprint, moved inside the map; None where no position
    reaches the value.

    Args:
        rows: of each position, its footprints.
        columns: of each position, likewise.
        shapes: of all nodes' values, and of the frame behind them.
    """
    down, across = np.stack(rows), np.stack(columns)
    found: list[Places | None] = []
    for number, shape in enumerate(shapes):
        height, tops = _along(down[:, number], extent(shape)[0])
        width, lefts = _along(across[:, number], extent(shape)[1])
        if not height or not width:
            found.append(None)
        elif height * width >= WHOLE * np.prod(extent(shape)) and number < len(shapes) - 1:
            found.append(Places.whole(shape, len(rows)))
        else:
            found.append(Places(height, width, tops, lefts))
    return found


def _along(intervals: NDArray[np.int64], length: int) -> tuple[int, NDArray[np.int64]]:
    size = int((intervals[:, 1] - intervals[:, 0]).max())
    return size, np.minimum(intervals[:, 0], length - size)
