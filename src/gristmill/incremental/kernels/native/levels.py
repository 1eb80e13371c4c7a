"""Grey levels of a picture made numbers in C."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.structures import LONG
from gristmill.incremental.regions.rectangle import Rectangle


def fits(image: NDArray[np.uint8], numbers: NDArray[np.float32]) -> bool:
    """Whether there is a C compiler, and the pixels of each row lie side by side in both."""
    beside = image.strides[1:] == (3, 1) and numbers.strides[1:] == (12, 4)
    return beside and numbers.strides[0] % 4 == 0 and library() is not None


def scale(
    image: NDArray[np.uint8],
    rectangles: Sequence[Rectangle],
    numbers: NDArray[np.float32],
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
) -> None:
    """Write (level - mean) / deviation, rounded as NumPy does, in some rectangles.

    Args:
        image: uint8[height, width, 3], which `fits`.
        rectangles: of it.
        numbers: float32[height, width, 3]; written.
        mean: float32[3].
        deviation: float32[3].
    """
    native = library()
    assert native is not None  # noqa: S101 - `fits` has said so
    sides = np.array(rectangles, LONG)
    native.scale_levels(
        ctypes.c_void_p(image.ctypes.data),
        ctypes.c_long(image.strides[0]),
        ctypes.c_void_p(numbers.ctypes.data),
        ctypes.c_long(numbers.strides[0] // 4),
        ctypes.c_void_p(sides.ctypes.data),
        ctypes.c_long(len(sides)),
        ctypes.c_void_p(mean.ctypes.data),
        ctypes.c_void_p(deviation.ctypes.data),
    )
