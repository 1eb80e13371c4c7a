"""A MobileNet's block in C, for maps some places of which have other values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.convolution import Bits, NativeConvolution, bounds
from gristmill.incremental.kernels.native.differences import Known, room_of
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import share_groups
from gristmill.incremental.kernels.native.structures import LONG, ShortcutStructure

_GROUP = 96
"""Pixels that are computed together: what is between the convolutions stays in the cache."""
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


class BlockKernel:
    """A pointwise, a depthwise and another pointwise convolution, group by group of pixels.

    A pixel is added up as `DirectKernel` does it, to the same bits; or what differs from a known
    map is, by products of fewer bits (see `differences`).

    Args:
        first: a layer that is `pointwise`.
        second: one that `ScatteredConvolution` takes.
        third: a layer that is `pointwise`.
        after: applied to the sum of its results and a shortcut; bounds, or None for none.
        bits: of the numbers that the pointwise ones multiply; fewer than 32 of differences.

    Attributes:
        known: of which of its layers (0 to 2) it takes what is known, and what prepares the sums.
        together: pixels of a group of several positions.
    """

    together = _GROUP

    def __init__(
        self,
        first: Layer,
        second: Layer,
        third: Layer,
        after: Activation | None = None,
        bits: Bits = 32,
    ) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `pointwise` has said so
        self._run = native.convolve_block if bits == 32 else native.convolve_differing_block
        self._convolutions = [
            NativeConvolution(first, bits),
            NativeConvolution(second),
            NativeConvolution(third, bits),
        ]
        end = self._convolutions[-1].structure
        end.sum_low, end.sum_high = bounds(after)
        self.known: dict[int, Prepare | None] = {0: None, 2: None} if bits < 32 else {}
        self._rounded_room = max(map(room_of, (first, third))) if bits < 32 else 0
        self._wide, self._channels = len(first.weight), len(third.weight)
        self._products = first.weight.numel() + second.weight.numel() + third.weight.numel()
        self._zeros = torch.zeros(self._wide)

    def __call__(
        self,
        rows: Tensor,
        base: Tensor,
        numbers: Tensor,
        groups: NDArray[np.int64],
        known: tuple[Known, ...] = (),
        shortcut: Shortcut | None = None,
    ) -> Tensor:
        """Compute the last convolution's pixels, [pixels, channels].

        Args:
            rows: that the first one reads, float32 [.., channels].
            base: rows of its results for the whole map, float32 [count, channels].
            numbers: int32 [pixels, taps] of the rows that the second one reads, as
                `ScatteredConvolution` takes them; patches are the first one's results.
            groups: [groups, 4]: of each, the first row that is read and the one after the last,
                which make all the patches that the group reads; and likewise of the pixels.
            known: where differences are taken, what the first convolution reads, and the last.
            shortcut: what is added to the results.
        """
        rows, base = rows.contiguous(), base.contiguous()
        results = rows.new_empty((len(numbers), self._channels))
        first_room = self._wide * int((groups[:, 1] - groups[:, 0]).max(initial=0))
        second_room = self._wide * int((groups[:, 3] - groups[:, 2]).max(initial=0))

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
                *([ctypes.c_void_p(room)] if rounded else []),
                ctypes.c_void_p(room + 4 * rounded),
                ctypes.c_void_p(room + 4 * (rounded + first_room)),
                ctypes.c_void_p(results.data_ptr()),
            )

        share_groups(compute, groups, len(numbers) * self._products)
        return results


def grouped(reads: NDArray[np.int64], gives: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Groups of positions, [groups, 4], for a block's kernel.

    Args:
        reads: of each position, its first row and the one after the last, [positions, 2].
        gives: of each position, likewise of the results' pixels, [positions, 2].
        most: rows of a group of several positions.
    """
    found: list[list[int]] = []
    for read, end_read, give, end_give in np.hstack([reads, gives]).tolist():
        if give == end_give:
            continue
        last = found[-1] if found else None
        if last and last[1] == read and last[3] == give and end_read - last[0] <= most:
            last[1], last[3] = end_read, end_give
        else:
            found.append([read, end_read, give, end_give])
    return np.array(found, np.int64).reshape(-1, 4)
