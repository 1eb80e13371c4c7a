"""Many rectangles joined to few in C."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.kernels.native.structures import LONG


def joined(native: ctypes.CDLL, boxes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Join boxes to their bounding boxes, those first that waste the fewest pixels.

    Args:
        native: the C functions.
        boxes: int64 [boxes, 4]: top, left, bottom and right of each.
        most: how many there may be afterwards if more of them waste pixels.

    Returns:
        Those that are left, likewise.
    """
    boxes = boxes.astype(LONG)
    room = np.empty((len(boxes), 2), LONG)
    native.join_boxes.restype = ctypes.c_long
    count = native.join_boxes(
        ctypes.c_void_p(boxes.ctypes.data),
        ctypes.c_long(len(boxes)),
        ctypes.c_long(most),
        ctypes.c_void_p(room.ctypes.data),
    )
    return boxes[:count]
