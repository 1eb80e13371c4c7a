"""Seconds of a rectangle by its height and width, between sizes that were measured."""

from __future__ import annotations

from bisect import bisect_left

from gristmill.incremental.planning.size_classes import RectangleClasses
from gristmill.incremental.regions.merging import merged
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet


class CostGrid:
    """What rectangles of one map cost once they are grown to their size class.

    Bilinear interpolation on a grid of measured sizes: a rectangle costs a fixed part, one for
    each row, one for each pixel, which is linear in height and in width. So between two sizes of
    the grid it is near exact. Sizes beyond the grid cost what its edge does.

    Args:
        classes: of the map's rectangles.
        heights: rows of the measured rectangles, growing.
        widths: columns of the measured rectangles, growing.
        seconds: of each, [height][width].

    Attributes:
        slack: pixels that cost as much as three calls; joining two rectangles gains no more.
    """

    __slots__ = ("_columns", "_rows", "_table", "classes", "heights", "seconds", "slack", "widths")

    def __init__(
        self,
        classes: RectangleClasses,
        heights: tuple[int, ...],
        widths: tuple[int, ...],
        seconds: tuple[tuple[float, ...], ...],
    ) -> None:
        self.classes = classes
        self.heights = heights
        self.widths = widths
        self.seconds = seconds
        self._rows = classes.rows.number
        self._columns = classes.columns.number
        self._table = [
            [self._interpolated(height, width) for width in classes.columns.sizes]
            for height in classes.rows.sizes
        ]
        self.slack = _slack(classes, self._table)

    def __call__(self, height: int, width: int) -> float:
        """Seconds of a rectangle of so many rows and columns, which fit the map."""
        return self._table[self._rows[height]][self._columns[width]]

    def order(self, reach: RegionSet) -> tuple[tuple[Rectangle, ...], float]:
        """Return rectangles of the classes' sizes that cover some places, and what they cost."""
        rectangles, seconds = merged(reach, self, self.slack)
        return tuple(map(self.classes.grown, rectangles)), seconds

    def _interpolated(self, height: int, width: int) -> float:
        row, down = _place(self.heights, height)
        column, across = _place(self.widths, width)
        above, below = self.seconds[row], self.seconds[min(row + 1, len(self.heights) - 1)]
        right = min(column + 1, len(self.widths) - 1)
        upper = above[column] + across * (above[right] - above[column])
        lower = below[column] + across * (below[right] - below[column])
        return upper + down * (lower - upper)


def _place(sizes: tuple[int, ...], size: int) -> tuple[int, float]:
    """Number of the grid line at or below a size, and how far it is on the way to the next."""
    if size <= sizes[0] or len(sizes) == 1:
        return 0, 0.0
    if size >= sizes[-1]:
        return len(sizes) - 2, 1.0
    line = bisect_left(sizes, size) - 1
    return line, (size - sizes[line]) / (sizes[line + 1] - sizes[line])


def _slack(classes: RectangleClasses, table: list[list[float]]) -> float:
    least, most = table[0][0], table[-1][-1]
    pixels = classes.rows.sizes[-1] * classes.columns.sizes[-1] - 1
    return 3.0 * least * pixels / (most - least) if most > least else float("inf")
