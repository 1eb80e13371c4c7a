"""A MobileNet's block in C, for maps some places of which have other values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.convolution import NativeConvolution, bounds
from gristmill.incremental.kernels.native.differences import Known
from gristmill.incremental.kernels.native.groups import FEW, Groups
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import share_groups
from gristmill.incremental.kernels.native.structures import (
    ConvolutionStructure,
    ShortcutStructure,
)

SLICE = 192
"""Channels that go through convolutions together (`SLICE`)."""
MOST = 300
"""Pixels of a group if there are several slices: the more, the fewer times weights are read, but a
slice of them should stay in the cache."""
Prepare: TypeAlias = Callable[[Tensor], Tensor]
"""What makes a layer's known sums, float32 [count, channels], what a kernel reads of them."""
_scratch = HeldMemory()


class Shortcut(NamedTuple):
    """Pixels that are added to others; tensors without gaps.

    Args:
        base: rows of a map's pixels, float32 [count, channels].
        patches: rows of other values, float32 [.., channels].
        numbers: int32 [pixels] of the rows that are added, as `ScatteredConvolution` takes them.
    """

    base: Tensor
    patches: Tensor
    numbers: Tensor

    @property
    def structure(self) -> ShortcutStructure:
        """For C; good for as long as this is."""
        return ShortcutStructure(
            base=self.base.data_ptr(),
            patches=self.patches.data_ptr(),
            count=len(self.base),
            numbers=self.numbers.data_ptr(),
        )


class HasStructure(Protocol):
    """A convolution that is ready for C."""

    structure: ConvolutionStructure


class NativeBlock:
    """What all kernels of blocks do: they lend C what it asks for, group by group of pixels.

    Args:
        run: the function in C.
        convolutions: the three of the block.
        after: applied to the sum of its results and a shortcut; bounds, or None for none.
        third: the last one's layer.
        products: of each pixel of the results.
    """

    def __init__(
        self,
        run: Callable[..., None],
        convolutions: tuple[HasStructure, HasStructure, NativeConvolution],
        after: Activation | None,
        third: Layer,
        products: int,
    ) -> None:
        self._run, self._products = run, products
        self._convolutions = convolutions  # they hold the weights
        self._at = tuple(ctypes.byref(each.structure) for each in convolutions)
        self._channels = len(third.weight)
        end = convolutions[-1].structure
        end.sum_low, end.sum_high = bounds(after)

    def _computed(
        self,
        rows: Tensor,
        maps: Sequence[ctypes.c_void_p | ctypes.c_long],
        groups: Groups,
        known: Sequence[Known],
        shortcut: Shortcut | None,
        rooms: Sequence[int],
    ) -> Tensor:
        """Compute the last convolution's pixels, [pixels, channels].

        Args:
            rows: that the first one reads, float32 [.., channels], without gaps.
            maps: what the function in C takes between these and the groups.
            groups: of the pixels.
            known: what it takes beside its convolutions.
            shortcut: what is added to the results.
            rooms: floats of each of its memories.
        """
        results = rows.new_empty((groups.pixels, self._channels))
        added = shortcut and ctypes.byref(shortcut.structure)
        ends = [4 * end for end in accumulate(rooms, initial=0)]
        read = (
            *self._at,
            *(ctypes.byref(each.structure) for each in known),
            added,
            ctypes.c_void_p(rows.data_ptr()),
            *maps,
        )

        def compute(some: NDArray[np.int64]) -> None:
            room = _scratch.address(ends[-1] // 4)
            self._run(
                *read,
                ctypes.c_void_p(some.ctypes.data),
                ctypes.c_long(len(some)),
                *(ctypes.c_void_p(room + end) for end in ends[:-1]),
                ctypes.c_void_p(results.data_ptr()),
            )

        share_groups(compute, groups.spans, groups.pixels * self._products)
        return results


class BlockKernel(NativeBlock):
    """A pointwise, a depthwise and another pointwise convolution, group by group of pixels.

    A pixel is added up as `DirectKernel` does it, to the same bits.

    Args:
        first: a layer that is `pointwise`.
        second: one that `ScatteredConvolution` takes.
        third: a layer that is `pointwise`.
        after: applied to the sum of its results and a shortcut; bounds, or None for none.

    Attributes:
        known: of none of its layers it takes what is known.
        together: pixels of a group of several positions.
    """

    known: Mapping[int, Prepare | None] = MappingProxyType({})

    def __init__(
        self, first: Layer, second: Layer, third: Layer, after: Activation | None = None
    ) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `pointwise` has said so
        ones = NativeConvolution(first), NativeConvolution(second), NativeConvolution(third)
        products = sum(each.products for each in ones)
        super().__init__(native.convolve_block, ones, after, third, products)
        self._wide = len(first.weight)
        self._room = cache(self._room_of)  # a tenth of a call is saved
        self.together = MOST if self._wide > SLICE else FEW
        self._zeros = torch.zeros(self._wide)

    def __call__(
        self,
        rows: Tensor,
        base: Tensor,
        numbers: Tensor,
        groups: Groups,
        known: tuple[Known, ...] = (),
        shortcut: Shortcut | None = None,
    ) -> Tensor:
        """Compute the last convolution's pixels, [pixels, channels].

        Args:
            rows: that the first one reads, float32 [.., channels].
            base: rows of its results for the whole map, float32 [count, channels].
            numbers: int32 [pixels, taps] of the rows that the second one reads, as
                `ScatteredConvolution` takes them; patches are the first one's results.
            groups: of the pixels.
            known: nothing.
            shortcut: what is added to the results.
        """
        rows, base = rows.contiguous(), base.contiguous()
        maps = (
            ctypes.c_void_p(base.data_ptr()),
            ctypes.c_long(base.shape[0]),
            ctypes.c_void_p(self._zeros.data_ptr()),
            ctypes.c_void_p(numbers.data_ptr()),
            ctypes.c_void_p(groups.around.data_ptr()),
            ctypes.c_void_p(groups.order.data_ptr()),
        )
        return self._computed(rows, maps, groups, known, shortcut, [self._room(groups.most)])

    def _room_of(self, most: tuple[int, int]) -> int:
        """Floats of memory for a group that reads so many rows, and of so many pixels."""
        native = library()
        assert native is not None  # noqa: S101 - `pointwise` has said so
        native.block_room.restype = ctypes.c_long
        floats: int = native.block_room(*map(ctypes.c_long, (*most, self._wide)))
        return floats
