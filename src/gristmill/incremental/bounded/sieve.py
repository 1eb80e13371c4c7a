"""Letting through what differs enough from what readers have seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gristmill.incremental.graph.operator import cut
from gristmill.incremental.kernels.native import blocks
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.tile_cover import tile_rectangles


def let_through(
    found: Tensor,
    kept: Tensor,
    places: Sequence[Rectangle],
    threshold: float,
    origin: tuple[int, int] = (0, 0),
) -> list[Rectangle]:
    """Write new numbers of a map where they differ by more than a threshold from the kept ones.

    Decided for square blocks, at most 16 along a side of each rectangle: one in which any channel
    of any pixel differs by more (or is not a number) is written as a whole, with all its channels.
    What is not written stays what the map's readers have seen. The next time its place is computed
    it is compared with that again, so differences that add up are let through once they are large
    enough.

    Args:
        found: new numbers, [1, channels, height, width] of a part of the map.
        kept: the whole map; written.
        places: rectangles of the map, none of them empty and all inside of that part.
        threshold: the largest difference that waits. 0: none does.
        origin: row and column of the map where the part begins.

    Returns:
        Places of the map that were written; those of one rectangle are apart from each other.
    """
    if blocks.fits(found, kept):
        return blocks.let_through(found, kept, places, threshold, origin)
    return block_by_block(found, kept, places, threshold, origin)


def block_by_block(
    found: Tensor,
    kept: Tensor,
    places: Sequence[Rectangle],
    threshold: float,
    origin: tuple[int, int],
) -> list[Rectangle]:
    """Do what `let_through` does, by PyTorch and NumPy."""
    written = []
    for place in places:
        top, left, bottom, right = place
        block = -(-max(place.height, place.width) // blocks.MOST)
        new = cut(found, place.shifted(-origin[0], -origin[1]))
        marked = _beyond(new, cut(kept, place), threshold, block)
        for up, near, down, far in _covered(marked):
            part = Rectangle(
                top + up * block,
                left + near * block,
                min(top + down * block, bottom),
                min(left + far * block, right),
            )
            cut(kept, part).copy_(cut(new, part.shifted(-top, -left)))
            written.append(part)
    return written


def _beyond(found: Tensor, kept: Tensor, threshold: float, block: int) -> npt.NDArray[np.bool_]:
    """Mark blocks with a number that differs by more; whole numbers differ by 1 or not at all."""
    numbers = found.is_floating_point()
    difference = (found - kept).abs_() if numbers else (found != kept).to(torch.float32)
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
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = Rectangle(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return (box,) if 5 * count >= 3 * box.area else tile_rectangles(mask)
