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
    rows, columns = mask.shape
    # A column of false on either side, so that no run goes over the end of its row.
    padded = np.zeros((rows, columns + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    begins_ends = np.diff(padded, axis=1)
    where, begins = np.nonzero(begins_ends == 1)
    ends = np.nonzero(begins_ends == -1)[1]
    found: list[Rectangle] = []
    open_: dict[tuple[int, int], int] = {}  # of each run of the row above, its rectangle
    current: dict[tuple[int, int], int] = {}
    row = -1
    for at, begin, end in zip(where.tolist(), begins.tolist(), ends.tolist(), strict=True):
        if at != row:
            open_ = current if at == row + 1 else {}
            current = {}
            row = at
        run = (begin, end)
        above = open_.get(run)
        if above is None:
            current[run] = len(found)
            found.append(Rectangle(at, begin, at + 1, end))
        else:
            current[run] = above
            found[above] = found[above]._replace(bottom=at + 1)
    return tuple(found)


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
