"""What a change reaches, looked up instead of worked out."""

from __future__ import annotations

from collections.abc import Callable

from gristmill.incremental.regions.rectangle import EMPTY, Rectangle


class ReachTable:
    """For every side of a changed rectangle, the side of what it reaches.

    Made by asking once for all changes that begin at a row, end at one, and so for columns. A
    smaller change reaches no more than a larger one that contains it, so what the four sides give
    covers the reach of any rectangle; and it is no more where, as with windows that slide, each
    side of the reach hangs on the same side of the change alone.

    Args:
        reach: of a changed rectangle, what it reaches; `EMPTY` for nothing.
        size: height and width of the map that changes.
        size_out: height and width of the map that is reached.

    Attributes:
        still: whether every place reaches itself and nothing else.
    """

    __slots__ = ("_bottoms", "_lefts", "_rights", "_tops", "still")

    def __init__(
        self,
        reach: Callable[[Rectangle], Rectangle],
        size: tuple[int, int],
        size_out: tuple[int, int],
    ) -> None:
        height, width = size

        def first(found: Rectangle, side: int, length: int) -> int:
            # Past the end where nothing is reached: then the table's rectangle is empty, too.
            return length if found.empty else found[side]

        self._tops = [
            first(reach(Rectangle(row, 0, height, width)), 0, size_out[0]) for row in range(height)
        ]
        self._lefts = [
            first(reach(Rectangle(0, column, height, width)), 1, size_out[1])
            for column in range(width)
        ]
        self._bottoms = [reach(Rectangle(0, 0, row, width)).bottom for row in range(height + 1)]
        self._rights = [reach(Rectangle(0, 0, height, column)).right for column in range(width + 1)]
        self.still = (
            size == size_out
            and self._tops == list(range(height))
            and self._lefts == list(range(width))
            and self._bottoms == list(range(height + 1))
            and self._rights == list(range(width + 1))
        )

    def __call__(self, changed: Rectangle) -> Rectangle:
        """What a rectangle reaches, which must not be empty and lie inside the map."""
        top, left = self._tops[changed[0]], self._lefts[changed[1]]
        bottom, right = self._bottoms[changed[2]], self._rights[changed[3]]
        if top >= bottom or left >= right:
            return EMPTY
        return Rectangle(top, left, bottom, right)
