"""Depthwise convolutions in C of pixels that are read wherever they lie."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.convolution import NativeConvolution, fits
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import share_range

_VECTOR = 16
"""Channels come in so many, the widest vector of any machine: what is read ends with a pixel."""


class ScatteredConvolution:
    """A depthwise layer that `suits`, for maps some places of which have other values.

    A pixel is added up as `DirectKernel` does it, to the same bits.

    Args:
        layer: its numbers.
    """

    def __init__(self, layer: Layer) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `suits` has said so
        self._run = native.convolve_scattered
        self._convolution = NativeConvolution(layer)
        self._channels = len(layer.weight)
        self._products = layer.weight[0].numel() * self._channels
        self._zeros = torch.zeros(self._channels)

    def __call__(self, base: Tensor, patches: Tensor, numbers: Tensor) -> Tensor:
        """Compute some pixels, [pixels, channels].

        Args:
            base: rows of the map's pixels, float32 [count, channels].
            patches: rows of the other values, float32 [.., channels].
            numbers: int32 [pixels, taps] of the rows that each pixel reads: up to `count` of the
                base; `count` is a pixel beyond the map; those above are patches' from there on.
        """
        base, patches = base.contiguous(), patches.contiguous()
        results = base.new_empty((len(numbers), self._channels))

        def compute(part: slice) -> None:
            some = numbers[part]
            self._run(
                ctypes.byref(self._convolution.structure),
                ctypes.c_void_p(base.data_ptr()),
                ctypes.c_long(len(base)),
                ctypes.c_void_p(patches.data_ptr()),
                ctypes.c_void_p(self._zeros.data_ptr()),
                ctypes.c_void_p(some.data_ptr()),
                ctypes.c_long(len(some)),
                ctypes.c_void_p(results[part].data_ptr()),
            )

        share_range(compute, len(numbers), self._products)
        return results


def suits(layer: Layer) -> bool:
    """Whether there is a C compiler, and each channel is taken by itself, in whole vectors."""
    outputs, inputs = layer.weight.shape[:2]
    depthwise = layer.groups == outputs > 1 and inputs == 1
    return depthwise and outputs % _VECTOR == 0 and fits(layer)
