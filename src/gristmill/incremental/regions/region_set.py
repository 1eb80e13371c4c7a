"""A set of places of a map, as a handful of rectangles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from gristmill.incremental.regions.condensing import condensed
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.simplify import simplified
from gristmill.incremental.regions.tile_cover import halved, tile_rectangles

Pair = tuple[int, int, int]
"""(pixels that the bounding box of two has more than both, number of one, of the other)."""

_SCATTERED = 200
"""Rectangles of a mask beyond which they cover most of it once they are few."""


class RegionSet:
    """Places of a map: those that at least one of some rectangles covers. Immutable, hashable.

    Rectangles from a tile mask are disjoint; those of a mapped or united set may overlap by a
    corner (`simplify`).

    Args:
        rectangles: none of them empty. They are taken as they are; `covering` takes any.
    """

    __slots__ = ("_pairs", "rectangles")

    def __init__(self, rectangles: tuple[Rectangle, ...] = ()) -> None:
        self.rectangles = rectangles
        self._pairs: list[Pair] | None = None

    @classmethod
    def covering(cls, rectangles: Iterable[Rectangle]) -> RegionSet:
        """The set that covers these rectangles, empty and overlapping ones among them."""
        return cls(simplified(rectangles))

    @classmethod
    def from_mask(
        cls,
        mask: npt.NDArray[np.bool_],
        tile: int,
        height: int,
        width: int,
        *,
        most: int | None = None,
    ) -> RegionSet:
        """The pixels of the tiles that are true in a mask.

        Args:
            mask: bool [tile rows, tile columns]; the last ones may stick out of the map.
            tile: side of a tile in pixels.
            height: of the map, in pixels.
            width: of the map, in pixels.
            most: how many rectangles there may be. Those less than a tile or two apart are then
                joined, and further ones until there are no more, so that the set covers more than
                the mask; of tiles that lie scattered, squares of several are taken. None: exactly
                the mask.
        """
        found = tile_rectangles(mask)
        if most is not None and len(found) > 1:
            side = 1
            while len(found) > _SCATTERED:  # joining takes the square of their number
                mask, side = halved(mask), 2 * side
                found = tile_rectangles(mask)
            if side > 1:
                found = tuple(Rectangle(*(side * each for each in cells)) for cells in found)
            found = simplified(condensed(found, max(1, most), margin=1))
        return cls(
            tuple(
                Rectangle(
                    top * tile, left * tile, min(bottom * tile, height), min(right * tile, width)
                )
                for top, left, bottom, right in found
                if top * tile < height and left * tile < width
            )
        )

    @classmethod
    def whole(cls, height: int, width: int) -> RegionSet:
        """All places of a map."""
        return cls((Rectangle.whole(height, width),))

    @property
    def area(self) -> int:
        """Sum of the rectangles' pixels (a pixel in two of them counts twice)."""
        return sum((bottom - top) * (right - left) for top, left, bottom, right in self.rectangles)

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, the one first whose bounding box wastes the fewest pixels; made once."""
        if self._pairs is None:
            self._pairs = _pairs(self.rectangles)
        return self._pairs

    def united(self, other: RegionSet) -> RegionSet:
        """The places of either set."""
        if not other.rectangles or other.rectangles == self.rectangles:
            return self
        if not self.rectangles:
            return other
        # Where a network branches, one branch's places mostly lie in the other's, one by one.
        if _inside(other.rectangles, self.rectangles):
            return self
        if _inside(self.rectangles, other.rectangles):
            return other
        return RegionSet(simplified(self.rectangles + other.rectangles))

    def mapped(self, function: Callable[[Rectangle], Rectangle]) -> RegionSet:
        """What a function makes of the rectangles: what they reach in an operator's output."""
        found = tuple(map(function, self.rectangles))
        # Most operators of a network leave places where they are; then so does the set.
        return self if found == self.rectangles else RegionSet(simplified(found))

    def __bool__(self) -> bool:
        return bool(self.rectangles)

    def __len__(self) -> int:
        return len(self.rectangles)

    def __iter__(self) -> Iterator[Rectangle]:
        return iter(self.rectangles)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegionSet) and self.rectangles == other.rectangles

    def __hash__(self) -> int:
        return hash(self.rectangles)

    def __repr__(self) -> str:
        return f"RegionSet({[tuple(rectangle) for rectangle in self.rectangles]})"


NOWHERE = RegionSet()


def _inside(inner: tuple[Rectangle, ...], outer: tuple[Rectangle, ...]) -> bool:
    """Whether each rectangle lies in the one of the same number."""
    if len(inner) > len(outer):
        return False
    for (top, left, bottom, right), other in zip(inner, outer, strict=False):
        if top < other[0] or left < other[1] or bottom > other[2] or right > other[3]:
            return False
    return True


def _pairs(rectangles: tuple[Rectangle, ...]) -> list[Pair]:
    found: list[Pair] = []
    areas = [(bottom - top) * (right - left) for top, left, bottom, right in rectangles]
    for one, (top, left, bottom, right) in enumerate(rectangles):
        area = areas[one]
        for two in range(one):
            other = rectangles[two]
            # Conditional expressions, not min and max: this is the planner's innermost loop.
            tall = (bottom if bottom > other[2] else other[2]) - (
                top if top < other[0] else other[0]
            )
            wide = (right if right > other[3] else other[3]) - (
                left if left < other[1] else other[1]
            )
            found.append((tall * wide - area - areas[two], two, one))
    found.sort()
    return found
