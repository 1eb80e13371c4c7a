"""Means of maps in C, and of what a 1x1 convolution makes of maps, which are not kept.

Pixels are added up one after the other, so that a mean has the same bits however it is computed.
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.native.block import SLICE
from gristmill.incremental.kernels.native.convolution import NativeConvolution
from gristmill.incremental.kernels.native.differences import BATCH
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import share_range
from gristmill.incremental.kernels.native.structures import LONG

_scratch = HeldMemory()


def mean(values: Tensor) -> Tensor:
    """Return the mean of each channel, [frames, channels], in C where that can be had.

    Args:
        values: maps, [frames, channels, height, width].
    """
    native = library()
    if native is None or values.device.type != "cpu" or values.dtype != torch.float32:
        return values.mean((2, 3))
    values = values.contiguous(memory_format=torch.channels_last)
    frames, channels, height, width = values.shape
    found = values.new_empty((frames, channels))
    native.average(
        ctypes.c_void_p(values.data_ptr()),
        ctypes.c_long(frames),
        ctypes.c_long(height * width),
        ctypes.c_long(channels),
        ctypes.c_void_p(found.data_ptr()),
    )
    return found


class MeanKernel:
    """The mean of a convolution's results over whole maps, to the bits of `mean` of these results.

    Args:
        convolution: of a layer that is `pointwise`.
    """

    def __init__(self, convolution: NativeConvolution) -> None:
        native = library()
        assert native is not None  # noqa: S101 - else there were no such convolution
        self._run, self._convolution = native.average_convolved, convolution

    def __call__(self, rows: Tensor, spans: NDArray[np.int64]) -> Tensor:
        """Compute the maps' means, [maps, outputs].

        Args:
            rows: that it reads, float32 [pixels, inputs].
            spans: [maps, 2]: of each, its first row and the one after the last.
        """
        rows = rows.contiguous()
        results = rows.new_empty((len(spans), self._convolution.structure.outputs))
        spans = np.ascontiguousarray(spans, LONG)

        def compute(part: slice) -> None:
            some = spans[part]
            self._run(
                ctypes.byref(self._convolution.structure),
                ctypes.c_void_p(rows.data_ptr()),
                ctypes.c_void_p(some.ctypes.data),
                ctypes.c_long(len(some)),
                ctypes.c_void_p(_scratch.address(BATCH * SLICE)),
                ctypes.c_void_p(results[part].data_ptr()),
            )

        share_range(compute, len(spans), self._convolution.products * len(rows) // len(spans))
        return results
