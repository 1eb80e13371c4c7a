"""Seconds of a unit that is computed by tiles, all rectangles in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gristmill.incremental.regions.merging import merged
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet


class TileCosts:
    """What rectangles of a unit cost by the number of tiles that they touch.

    Linear between the numbers that were measured. Tiles that several rectangles touch are computed
    once, so rectangles are only joined for the calls that each of them takes besides.

    Args:
        tiles: how many tiles rectangles touch.
        counts: numbers of tiles that were measured, growing.
        seconds: of each.
        call: seconds of one more rectangle, tiles apart.
        pixel: seconds of one more pixel of a rectangle, tiles apart.
    """

    def __init__(
        self,
        tiles: Callable[[Sequence[Rectangle]], int],
        counts: Sequence[int],
        seconds: Sequence[float],
        call: float,
        pixel: float = 0.0,
    ) -> None:
        self._tiles = tiles
        self._counts, self._seconds = tuple(counts), tuple(seconds)
        self._call, self._pixel = call, pixel
        # Of a pixel in a tile of its own; what a bounding box adds.
        self._slope = self._seconds[-1] / self._counts[-1] / _PIXELS + pixel

    def order(self, reach: RegionSet) -> tuple[tuple[Rectangle, ...], float]:
        """Return rectangles that cover some places, and what they cost in all."""
        found, _ = merged(reach, self._rectangle, self._call / self._slope)
        tiles = float(np.interp(self._tiles(found), self._counts, self._seconds))
        area = sum(rectangle.area for rectangle in found)
        return found, tiles + self._call * (len(found) - 1) + self._pixel * area

    def dearer(self, call: float, pixel: float) -> TileCosts:
        """Return what they cost if every rectangle, and every pixel of it, costs so much more."""
        seconds = [each + call for each in self._seconds]
        return TileCosts(self._tiles, self._counts, seconds, self._call + call, self._pixel + pixel)

    def _rectangle(self, height: int, width: int) -> float:
        return self._call + self._slope * height * width


_PIXELS = 16
"""Of a tile."""
