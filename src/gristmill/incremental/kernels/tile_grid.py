"""A map's results divided into tiles, each made of the pixels around it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SIDE, READ = 4, 6
"""Side of what a tile gives, and of what it is made of, in pixels."""


class TileGrid:
    """The tiles of a 3x3 convolution's results, from the top left corner on, row after row.

    Args:
        height: of the map that is read.
        width: of it.
        before: zeros above it and to its left, 2 at most.
        after: zeros below it and to its right, 2 at most.
        lead: rows of the first tiles that lie above the results, and columns left of them.

    Attributes:
        size: height and width of the results' map.
    """

    def __init__(
        self,
        height: int,
        width: int,
        before: tuple[int, int],
        after: tuple[int, int],
        lead: int = 0,
    ) -> None:
        border = READ - SIDE
        self._lead = lead
        self.size = height + before[0] + after[0] - border, width + before[1] + after[1] - border
        self._shape = tiles_along(self.size[0], lead), tiles_along(self.size[1], lead)
        begins = SIDE * np.moveaxis(np.indices(self._shape), 0, -1).reshape(-1, 2) - lead
        self._places = np.hstack([begins - before, begins]).astype(np.int32)

    @property
    def count(self) -> int:
        """Number of the tiles."""
        return self._shape[0] * self._shape[1]

    def touched(self, regions: Iterable[tuple[int, int, int, int]]) -> NDArray[np.int64]:
        """Numbers of the tiles that have pixels in some regions of the results, growing.

        Args:
            regions: (top, left, bottom, right) of each.
        """
        mask, lead = np.zeros(self._shape, np.bool_), self._lead
        for top, left, bottom, right in regions:
            rows = slice((top + lead) // SIDE, tiles_along(bottom, lead))
            mask[rows, (left + lead) // SIDE : tiles_along(right, lead)] = True
        return mask.ravel().nonzero()[0]  # without the calls of `flatnonzero`, which cost more

    def places(self, tiles: NDArray[np.int64] | slice) -> NDArray[np.int32]:
        """Where tiles lie.

        Args:
            tiles: their numbers.

        Returns:
            [tiles, 4]: row and column of the first pixel that each reads, and of its first result;
            they may lie above the map or left of it.
        """
        return self._places[tiles]


def tiles_along(length: int, lead: int = 0) -> int:
    """Tiles along an axis of so many results, of which the first begins `lead` pixels before."""
    return -(-(length + lead) // SIDE)
