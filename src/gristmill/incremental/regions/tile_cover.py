"""The rectangles that cover the set tiles of a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gristmill.incremental.regions.rectangle import Rectangle


def tile_rectangles(mask: npt.NDArray[np.bool_]) -> tuple[Rectangle, ...]:
    """Cover the true cells of a mask by disjoint rectangles, no cell more and none less.

    Runs of true cells in a row, each joined with the equal run of the row above: few rectangles,
    though not the fewest possible, in one pass.

    Args:
        mask: bool [rows, columns].

    Returns:
        Rectangles in cells, in the order of their top left corners.
    """
    columns = mask.shape[1]
    # Bytes, for most cells are false: to find the next true one takes no array as large as all.
    cells = mask.tobytes()
    found: list[list[int]] = []
    open_: dict[tuple[int, int], list[int]] = {}  # of each run of the row above, its rectangle
    current: dict[tuple[int, int], list[int]] = {}
    row, begin, end = -1, 0, 0  # of the cells of the row
    left = cells.find(1)
    while left >= 0:
        if left >= end:
            at = left // columns
            open_ = current if at == row + 1 else {}
            current = {}
            row, begin, end = at, at * columns, (at + 1) * columns
        right = cells.find(0, left, end)
        if right < 0:
            right = end
        run = (left - begin, right - begin)
        rectangle = open_.get(run)
        if rectangle is None:
            rectangle = [row, run[0], row, run[1]]
            found.append(rectangle)
        rectangle[2] = row + 1
        current[run] = rectangle
        left = cells.find(1, right)
    return tuple(Rectangle(*each) for each in found)


def halved(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return a mask of half the size: a cell is true where any of its four is.

    Args:
        mask: bool [rows, columns]; cells beyond its edges are false.

    Returns:
        bool [rows / 2, columns / 2], rounded up.
    """
    rows, columns = mask.shape
    even = np.pad(mask, ((0, rows % 2), (0, columns % 2)))
    return even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]
