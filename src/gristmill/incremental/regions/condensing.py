"""Many rectangles made few, with little added to what they cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.kernels.native.boxes import Box, joined
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.regions.rectangle import Rectangle

_NEVER = 1 << 60


def condensed(rectangles: Sequence[Rectangle], most: int, margin: int) -> tuple[Rectangle, ...]:
    """Join rectangles to their bounding boxes, those first that waste the fewest pixels.

    What is left of a network's layers makes every rectangle grow on all sides. So waste is counted
    on rectangles with a margin around them, and two whose box has no more pixels than both with
    their margins are joined even where there are few.

    Args:
        rectangles: none of them empty.
        most: how many there may be afterwards, at least 1.
        margin: pixels (or tiles) around each when waste is counted.

    Returns:
        Rectangles that cover the given ones; they may overlap.
    """
    boxes = [
        (top - margin, left - margin, bottom + margin, right + margin)
        for top, left, bottom, right in rectangles
    ]
    native = library()
    kept = _joined(boxes, most) if native is None else joined(native, boxes, most)
    return tuple(
        Rectangle(top + margin, left + margin, bottom - margin, right - margin)
        for top, left, bottom, right in kept
    )


def _joined(rectangles: Sequence[Box], most: int) -> list[Box]:
    """Join boxes as `native.boxes.joined` does."""
    boxes = np.array(rectangles, np.int64).reshape(-1, 4)
    tops, lefts, bottoms, rights = boxes.T
    areas = (bottoms - tops) * (rights - lefts)
    left = np.ones(len(boxes), np.bool_)

    def waste(of: NDArray[np.intp]) -> NDArray[np.int64]:
        """Pixels that boxes of some with all have beyond both, [of, all]."""
        tall = np.maximum(bottoms, bottoms[of, None]) - np.minimum(tops, tops[of, None])
        wide = np.maximum(rights, rights[of, None]) - np.minimum(lefts, lefts[of, None])
        found: NDArray[np.int64] = tall * wide - areas - areas[of, None]
        found[:, ~left] = _NEVER
        found[np.arange(len(of)), of] = _NEVER
        return found

    wastes = waste(np.arange(len(boxes)))
    for count in range(len(boxes), 1, -1):
        one, two = divmod(int(wastes.argmin()), len(boxes))
        if wastes[one, two] > 0 and count <= most:
            break
        boxes[one, :2] = np.minimum(boxes[one, :2], boxes[two, :2])
        boxes[one, 2:] = np.maximum(boxes[one, 2:], boxes[two, 2:])
        areas[one] = (bottoms[one] - tops[one]) * (rights[one] - lefts[one])
        left[two] = False
        wastes[two] = wastes[:, two] = _NEVER
        wastes[one] = wastes[:, one] = waste(np.array([one]))[0]
    return [tuple(sides) for sides in boxes[left].tolist()]
