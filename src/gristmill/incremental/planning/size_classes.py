"""The few sizes that recomputed rectangles may have."""

from __future__ import annotations

from gristmill.incremental.regions.rectangle import Rectangle

COARSE, FINE, CLOSE = 2, 4, 16
"""Steps in a doubling: where preparing kernels costs more than what they save, where less, and
where there is nothing to prepare.
"""


class SizeClasses:
    """Sizes along one axis of a map: few in each doubling, and the whole.

    oneDNN prepares a convolution for every new size of its input, which takes longer than to run
    it on a small rectangle, and keeps a few thousand. So rectangles are grown to one of few sizes.

    Args:
        length: of the axis in pixels.
        steps: sizes in each doubling, a power of two: with 2 they are 1, 2, 3, 4, 6, 8, 12, 16, 24
            and so on; with 4, 10 and 14 come between 8, 12 and 16.

    Attributes:
        sizes: growing; the last is the length.
        number: of every size from 0 to the length, the number of the class it is grown to.
    """

    __slots__ = ("number", "sizes")

    def __init__(self, length: int, steps: int = COARSE) -> None:
        growing = {
            size << power
            for size in range(steps, 2 * steps)
            for power in range(length.bit_length())
        }
        sizes = growing.union(range(1, steps))
        self.sizes = (*sorted(size for size in sizes if size < length), length)
        self.number: list[int] = []
        for number, size in enumerate(self.sizes):
            self.number += [number] * (size + 1 - len(self.number))

    def grown(self, begin: int, end: int) -> tuple[int, int]:
        """An interval of a class's size that contains this one, inside the axis."""
        size = self.sizes[self.number[end - begin]]
        begin = min(begin, self.sizes[-1] - size)
        return begin, begin + size


class RectangleClasses:
    """Sizes of rectangles of one map.

    Args:
        height: of the map in pixels.
        width: of the map in pixels.
        steps: sizes in each doubling, of either axis.
    """

    __slots__ = ("columns", "rows")

    def __init__(self, height: int, width: int, steps: int = COARSE) -> None:
        self.rows = SizeClasses(height, steps)
        self.columns = SizeClasses(width, steps)

    def grown(self, rectangle: Rectangle) -> Rectangle:
        """A rectangle of a class's height and width that contains this one, inside the map."""
        top, bottom = self.rows.grown(rectangle[0], rectangle[2])
        left, right = self.columns.grown(rectangle[1], rectangle[3])
        return Rectangle(top, left, bottom, right)
