"""Pointwise convolutions in C of what differs from a map that is known, in half the time or less.

W x = W k + W (x - k): where W k is known, products of x - k with weights cost half as much as
products of floats if both are rounded to bfloat16, and a quarter if to integers of 8 bits:
differences by the largest of their pixel, weights by the largest of their channel of the results.
The error is a share of the difference, not of the values: of what is small itself, it is next to
nothing.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import cache, cached_property

from torch import Tensor

from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.convolution import Bits, NativeConvolution
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import share_range
from gristmill.incremental.kernels.native.structures import KnownStructure

BATCH = 96
"""Pixels whose differences are kept at a time (`MOST_PIXELS`)."""
_scratch = HeldMemory()


@dataclass(frozen=True, eq=False)
class Known:
    """A map that is known, and which of its pixels others are beside; tensors without gaps.

    Args:
        values: that a layer reads, float32 [count, inputs].
        sums: what it makes of them before its activation, float32 [count, outputs].
        places: of each of the other pixels, the number of the known one, int32 [pixels].
    """

    values: Tensor
    sums: Tensor
    places: Tensor

    @cached_property
    def structure(self) -> KnownStructure:
        """For C; good for as long as this is."""
        return KnownStructure(
            values=self.values.data_ptr(),
            sums=self.sums.data_ptr(),
            places=self.places.data_ptr(),
        )


class DifferenceConvolution:
    """A layer that is `pointwise`, of pixels beside known ones.

    A pixel is added up in one order, whatever pixels are computed beside it.

    Args:
        layer: its numbers.
        bits: of those that are multiplied, 16 or 8.
    """

    def __init__(self, layer: Layer, bits: Bits) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `pointwise` has said so
        self._run = native.convolve_differences
        self._convolution = NativeConvolution(layer, bits)
        self._channels, self._room = len(layer.weight), room_of(layer)

    def __call__(self, rows: Tensor, known: Known) -> Tensor:
        """Compute some pixels, [pixels, outputs].

        Args:
            rows: the pixels, float32 [pixels, inputs].
            known: what they are beside.
        """
        rows = rows.contiguous()
        results = rows.new_empty((len(rows), self._channels))

        def compute(part: slice) -> None:
            beside = replace(known, places=known.places[part]).structure
            self._run(
                ctypes.byref(self._convolution.structure),
                ctypes.byref(beside),
                None,
                ctypes.c_void_p(rows[part].data_ptr()),
                ctypes.c_long(part.stop - part.start),
                ctypes.c_void_p(_scratch.address(self._room)),
                ctypes.c_void_p(results[part].data_ptr()),
            )

        share_range(compute, len(rows), self._convolution.products)
        return results


def room_of(layer: Layer) -> int:
    """Floats that a layer's differences take, a batch of them, however they are rounded."""
    return BATCH * -(-layer.weight.shape[1] // 16) * 8


@cache
def quick(bits: Bits) -> bool:
    """Whether this machine multiplies numbers of so many bits faster than floats."""
    native = library()
    return native is not None and bool(native.quick_with(ctypes.c_long(bits)))
