"""A MobileNet's block in C of what differs from a known map, by products of bfloat16."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.block import Groups, Prepare, Shortcut
from gristmill.incremental.kernels.native.convolution import Bits, NativeConvolution, bounds
from gristmill.incremental.kernels.native.differences import Known, room_of
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import share_groups
from gristmill.incremental.kernels.native.structures import LONG

_scratch = HeldMemory()


class DifferenceBlockKernel:
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
        self._run = native.convolve_differing_block
        self._convolutions = (
            NativeConvolution(first, bits),
            NativeConvolution(second),
            NativeConvolution(third, bits),
        )
        end = self._convolutions[-1].structure
        end.sum_low, end.sum_high = bounds(after)
        self._rounded_room = max(map(room_of, (first, third)))
        self._wide, self._channels = len(first.weight), len(third.weight)
        self._products = sum(each.products for each in self._convolutions)
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
        results = rows.new_empty((len(numbers), self._channels))
        sizes = groups.spans[:, 1::2] - groups.spans[:, ::2]
        first_room, second_room = (self._wide * sizes.max(axis=0, initial=0)).tolist()
        maps = [each.structure for each in known]
        added = shortcut and ctypes.byref(shortcut.structure)
        rounded = self._rounded_room

        def compute(some: NDArray[np.int64]) -> None:
            room = _scratch.address(rounded + first_room + second_room)
            some = np.ascontiguousarray(some, LONG)
            self._run(
                *(ctypes.byref(each.structure) for each in self._convolutions),
                *map(ctypes.byref, maps),
                added,
                ctypes.c_void_p(rows.data_ptr()),
                ctypes.c_void_p(base.data_ptr()),
                ctypes.c_long(len(base)),
                ctypes.c_void_p(self._zeros.data_ptr()),
                ctypes.c_void_p(numbers.data_ptr()),
                ctypes.c_void_p(some.ctypes.data),
                ctypes.c_long(len(some)),
                ctypes.c_void_p(room),
                ctypes.c_void_p(room + 4 * rounded),
                ctypes.c_void_p(room + 4 * (rounded + first_room)),
                ctypes.c_void_p(results.data_ptr()),
            )

        share_groups(compute, groups.spans, len(numbers) * self._products)
        return results
