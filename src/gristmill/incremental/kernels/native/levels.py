"""Grey levels of a picture made numbers in C."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.pointer import pointer
from gristmill.incremental.regions.rectangle import Rectangle


def fits(image: NDArray[np.uint8], frame: Tensor) -> bool:
    """Whether there is a C compiler, and the pixels of each row lie side by side in both."""
    _, channel, _, pixel = frame.stride()
    beside = image.strides[1:] == (3, 1) and (channel, pixel) == (1, 3)
    return beside and library() is not None


def scale(
    image: NDArray[np.uint8],
    rectangles: Sequence[Rectangle],
    frame: Tensor,
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
) -> None:
    """Write (level - mean) / deviation, rounded as NumPy does, in some rectangles.

    Args:
        image: uint8[height, width, 3], which `fits`.
        rectangles: of it.
        frame: float32 [1, 3, height, width] in channels-last memory; written.
        mean: float32[3].
        deviation: float32[3].
    """
    native = library()
    assert native is not None  # noqa: S101 - `fits` has said so
    sides = array("l", chain.from_iterable(rectangles))
    native.scale_levels(
        pointer(image),
        ctypes.c_long(image.strides[0]),
        ctypes.c_void_p(frame.data_ptr()),
        ctypes.c_long(frame.stride(2)),
        ctypes.c_void_p(sides.buffer_info()[0]),
        ctypes.c_long(len(rectangles)),
        pointer(mean),
        pointer(deviation),
    )
