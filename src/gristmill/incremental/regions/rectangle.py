"""A rectangle of pixels, half-open: rows `top` to `bottom - 1`, columns `left` to `right - 1`."""

from __future__ import annotations

from typing import NamedTuple


class Rectangle(NamedTuple):
    """Rows [top, bottom) and columns [left, right) of a map, in pixels of that map.

    A rectangle whose `bottom <= top` or `right <= left` covers no pixel; every operation treats all
    such rectangles alike, wherever they lie.
    """

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, height: int, width: int) -> Rectangle:
        """The rectangle that covers a map of this size."""
        return cls(0, 0, height, width)

    @property
    def height(self) -> int:
        """Rows covered."""
        return max(0, self.bottom - self.top)

    @property
    def width(self) -> int:
        """Columns covered."""
        return max(0, self.right - self.left)

    @property
    def area(self) -> int:
        """Pixels covered."""
        return self.height * self.width

    @property
    def empty(self) -> bool:
        """Whether no pixel is covered."""
        return self.bottom <= self.top or self.right <= self.left

    def clipped(self, height: int, width: int) -> Rectangle:
        """The part inside a map of this size (all zeros where there is none)."""
        inside = Rectangle(
            max(0, self.top), max(0, self.left), min(height, self.bottom), min(width, self.right)
        )
        return EMPTY if inside.empty else inside

    def pushed_inside(self, height: int, width: int) -> Rectangle:
        """A rectangle of this size inside a map, as near as can be; smaller where the map is."""
        top = max(0, min(self.top, height - self.height))
        left = max(0, min(self.left, width - self.width))
        return Rectangle(top, left, min(height, top + self.height), min(width, left + self.width))

    def shifted(self, rows: int, columns: int) -> Rectangle:
        """The same rectangle so many pixels further down and to the right."""
        top, left, bottom, right = self
        return Rectangle(top + rows, left + columns, bottom + rows, right + columns)

    def united(self, other: Rectangle) -> Rectangle:
        """The smallest rectangle that covers both."""
        if self.empty:
            return other
        if other.empty:
            return self
        return Rectangle(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def overlaps(self, other: Rectangle) -> bool:
        """Whether some pixel is in both."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return top < min(self.bottom, other.bottom) and left < min(self.right, other.right)

    def contains(self, other: Rectangle) -> bool:
        """Whether every pixel of `other` is in this one; an empty one is in every one."""
        return other.empty or (
            self.top <= other.top
            and self.left <= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )


EMPTY = Rectangle(0, 0, 0, 0)
