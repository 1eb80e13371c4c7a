"""Letting through what differs enough from what readers have seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gristmill.incremental.graph.operator import cut
from gristmill.incremental.kernels.native import blocks
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.tile_cover import tile_rectangles

_BLOCKS = 16
_FULL = 0.6


def let_through(found: Tensor, kept: Tensor, place: Rectangle, threshold: float) -> list[Rectangle]:
    """Write new numbers of a map where they differ from the kept ones by more than a threshold.

    Decided for square blocks, at most 16 along a side of the rectangle: one in which any channel
    of any pixel differs by more (or is not a number) is written as a whole, with all its channels.
    What is not written stays what the map's readers have seen. The next time its place is computed
    it is compared with that again, so differences that add up are let through once they are large
    enough.

    Args:
        found: new numbers, [1, channels, height, width] of the rectangle.
        kept: the whole map; written.
        place: the rectangle, of the map.
        threshold: the largest difference that waits. 0: none does.

    Returns:
        Places of the map that were written, apart from each other.
    """
    top, left, bottom, right = place
    block = -(-max(bottom - top, right - left) // _BLOCKS)
    before = cut(kept, place)
    written = []
    marked = blocks.beyond if blocks.fits(found, before) else beyond
    for up, near, down, far in _covered(marked(found, before, threshold, block)):
        inside = Rectangle(
            up * block,
            near * block,
            min(down * block, bottom - top),
            min(far * block, right - left),
        )
        cut(before, inside).copy_(cut(found, inside))
        written.append(
            Rectangle(top + inside[0], left + inside[1], top + inside[2], left + inside[3])
        )
    return written


def beyond(found: Tensor, kept: Tensor, threshold: float, block: int) -> npt.NDArray[np.bool_]:
    """Mark blocks as `native.blocks.beyond` does, by PyTorch."""
    difference = (found - kept).abs_()
    if block > 1:  # first over places: channels lie side by side in memory, which is fast
        difference = torch.max_pool2d(difference, block, ceil_mode=True)
    # Whatever is not known to be within the threshold is beyond it: NaN is.
    within: npt.NDArray[np.bool_] = (difference.amax(1)[0] <= threshold).cpu().numpy()
    return np.logical_not(within)


def _covered(mask: npt.NDArray[np.bool_]) -> tuple[Rectangle, ...]:
    """Cover the true cells: by one rectangle if that adds few others, else exactly."""
    count = int(np.count_nonzero(mask))
    if not count:
        return ()
    if count == mask.size:
        return (Rectangle(0, 0, *mask.shape),)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = Rectangle(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return (box,) if count >= _FULL * box.area else tile_rectangles(mask)
