"""A MobileNet's block in C of what differs from a known map, by products of bfloat16."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.block import NativeBlock, Prepare, Shortcut
from gristmill.incremental.kernels.native.convolution import Bits, NativeConvolution
from gristmill.incremental.kernels.native.differences import Known, room_of
from gristmill.incremental.kernels.native.groups import Groups
from gristmill.incremental.kernels.native.library import library


class DifferenceBlockKernel(NativeBlock):
    """A pointwise, a depthwise and another pointwise convolution of what differs from a known map.

    Args:
        first: a layer that is `pointwise`.
        second: one that `ScatteredConvolution` takes.
        third: a layer that is `pointwise`.
        after: applied to the sum of its results and a shortcut; bounds, or None for none.
        bits: of the numbers that the pointwise ones multiply; see `differences`.

    Attributes:
        known: of which of its layers (0 to 2) it takes what is known, and what prepares the sums.
        together: pixels of a group of several positions: what is between the convolutions stays in
            the cache.
    """

    together = 96
    known: Mapping[int, Prepare | None] = MappingProxyType({0: None, 2: None})

    def __init__(
        self, first: Layer, second: Layer, third: Layer, after: Activation | None, bits: Bits
    ) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `pointwise` has said so
        ones = (
            NativeConvolution(first, bits),
            NativeConvolution(second),
            NativeConvolution(third, bits),
        )
        products = sum(each.products for each in ones)
        super().__init__(native.convolve_differing_block, ones, after, third, products)
        self._rounded_room = max(map(room_of, (first, third)))
        self._wide = len(first.weight)
        self._zeros = torch.zeros(self._wide)

    def __call__(
        self,
        rows: Tensor,
        base: Tensor,
        numbers: Tensor,
        groups: Groups,
        known: tuple[Known, ...],
        shortcut: Shortcut | None = None,
    ) -> Tensor:
        """Compute the last convolution's pixels, [pixels, channels].

        Args:
            rows: that the first one reads, float32 [.., channels].
            base: rows of its results for the whole map, float32 [count, channels].
            numbers: as `BlockKernel` takes them.
            groups: of the pixels, in whatever order.
            known: what the first convolution reads, and the last.
            shortcut: what is added to the results.
        """
        rows, base = rows.contiguous(), base.contiguous()
        read, given = groups.most
        maps = (
            ctypes.c_void_p(base.data_ptr()),
            ctypes.c_long(len(base)),
            ctypes.c_void_p(self._zeros.data_ptr()),
            ctypes.c_void_p(numbers.data_ptr()),
        )
        rooms = [self._rounded_room, self._wide * read, self._wide * given]
        return self._computed(rows, maps, groups, known, shortcut, rooms)
