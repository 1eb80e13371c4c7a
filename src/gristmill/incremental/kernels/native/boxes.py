"""Many rectangles joined to few in C."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

Box: TypeAlias = tuple[int, int, int, int]
"""Top, left, bottom and right."""


def joined(native: ctypes.CDLL, boxes: Sequence[Box], most: int) -> list[Box]:
    """Join boxes to their bounding boxes, those first that waste the fewest pixels.

    Args:
        native: the C functions.
        boxes: any.
        most: how many there may be afterwards if more of them waste pixels.

    Returns:
        Those that are left.
    """
    sides = array("l", chain.from_iterable(boxes))
    room = array("l", bytes(2 * sides.itemsize * len(boxes)))
    native.join_boxes.restype = ctypes.c_long
    count = native.join_boxes(
        ctypes.c_void_p(sides.buffer_info()[0]),
        ctypes.c_long(len(boxes)),
        ctypes.c_long(most),
        ctypes.c_void_p(room.buffer_info()[0]),
    )
    left = sides.tolist()[: 4 * count]
    return list(zip(left[0::4], left[1::4], left[2::4], left[3::4], strict=True))
