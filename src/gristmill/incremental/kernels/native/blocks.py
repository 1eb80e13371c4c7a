"""Blocks of a map that differ from what is kept, found in C in one pass over both."""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.native.library import library


def fits(*maps: Tensor) -> bool:
    """Whether there is a C compiler, and the pixels of each row lie side by side in all."""
    return all(map(_readable, maps)) and library() is not None


def beyond(found: Tensor, kept: Tensor, threshold: float, block: int) -> NDArray[np.bool_]:
    """Mark the blocks in which a number differs by more than a threshold, or is none.

    Args:
        found: float32[1, channels, height, width], which `fits`.
        kept: likewise.
        threshold: the largest difference that is none.
        block: side of a square block in pixels, the last ones cut off by the edges.

    Returns:
        bool[rows, columns] of blocks.
    """
    native = library()
    assert native is not None  # noqa: S101 - `fits` has said so
    _, channels, height, width = found.shape
    marked = np.empty((-(-height // block), -(-width // block)), np.bool_)
    native.mark_blocks(
        ctypes.c_void_p(found.data_ptr()),
        ctypes.c_long(found.stride(2)),
        ctypes.c_void_p(kept.data_ptr()),
        ctypes.c_long(kept.stride(2)),
        *map(ctypes.c_long, (height, width, channels, block)),
        ctypes.c_float(threshold),
        ctypes.c_void_p(marked.ctypes.data),
    )
    return marked


def _readable(values: Tensor) -> bool:
    channels, width = values.shape[1], values.shape[3]
    beside = (channels == 1 or values.stride(1) == 1) and (
        width == 1 or values.stride(3) == channels
    )
    return beside and values.dtype == torch.float32 and values.device.type == "cpu"
