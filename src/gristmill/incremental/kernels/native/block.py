"""A MobileNet's block in C, for maps some places of which have other values."""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.convolution import NativeConvolution, fits
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import WORTH, share

GROUP = 96
"""Pixels that are computed together: what is between the convolutions stays in the cache."""
_scratch = HeldMemory()


class BlockKernel:
    """A pointwise, a depthwise and another pointwise convolution, group by group of pixels.

    A pixel is added up as `DirectKernel` does it, to the same bits.

    Args:
        first: a layer that is `pointwise`.
        second: one that `ScatteredConvolution` takes.
        third: a layer that is `pointwise`.
    """

    def __init__(self, first: Layer, second: Layer, third: Layer) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `pointwise` has said so
        self._run = native.convolve_block
        self._convolutions = [NativeConvolution(layer) for layer in (first, second, third)]
        self._wide, self._channels = len(first.weight), len(third.weight)
        self._products = first.weight.numel() + second.weight.numel() + third.weight.numel()
        self._zeros = torch.zeros(self._wide)

    def __call__(
        self, rows: Tensor, base: Tensor, numbers: Tensor, groups: NDArray[np.int64]
    ) -> Tensor:
        """Compute the last convolution's pixels, [pixels, channels].

        Args:
            rows: that the first one reads, float32 [.., channels].
            base: rows of its results for the whole map, float32 [count, channels].
            numbers: int32 [pixels, taps] of the rows that the second one reads, as
                `ScatteredConvolution` takes them; patches are the first one's results.
            groups: [groups, 4]: of each, the first row that is read and the one after the last,
                which make all the patches that the group reads; and likewise of the pixels.
        """
        rows, base = rows.contiguous(), base.contiguous()
        results = rows.new_empty((len(numbers), self._channels))
        first_room = self._wide * int((groups[:, 1] - groups[:, 0]).max(initial=0))
        second_room = self._wide * int((groups[:, 3] - groups[:, 2]).max(initial=0))

        def compute(some: NDArray[np.int64]) -> None:
            room = _scratch.floats(first_room + second_room)
            some = np.ascontiguousarray(some, ctypes.c_long)
            self._run(
                *(ctypes.byref(each.structure) for each in self._convolutions),
                ctypes.c_void_p(rows.data_ptr()),
                ctypes.c_void_p(base.data_ptr()),
                ctypes.c_long(len(base)),
                ctypes.c_void_p(self._zeros.data_ptr()),
                ctypes.c_void_p(numbers.data_ptr()),
                ctypes.c_void_p(some.ctypes.data),
                ctypes.c_long(len(some)),
                ctypes.c_void_p(room.data_ptr()),
                ctypes.c_void_p(room[first_room:].data_ptr()),
                ctypes.c_void_p(results.data_ptr()),
            )

        threads = torch.get_num_threads()
        if threads == 1 or len(numbers) * self._products < WORTH:
            compute(groups)
        else:
            share(compute, np.array_split(groups, threads))
        return results


def pointwise(layer: Layer) -> bool:
    """Whether there is a C compiler, and the layer mixes the channels of single pixels."""
    single = tuple(layer.weight.shape[2:]) == (1, 1) == tuple(layer.stride)
    return single and layer.groups == 1 and fits(layer)


def grouped(reads: NDArray[np.int64], gives: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups of positions, [groups, 4], for `BlockKernel`.

    Args:
        reads: of each position, its first row and the one after the last, [positions, 2].
        gives: of each position, likewise of the results' pixels, [positions, 2].
    """
    found: list[list[int]] = []
    for read, end_read, give, end_give in np.hstack([reads, gives]).tolist():
        if give == end_give:
            continue
        last = found[-1] if found else None
        if last and last[1] == read and last[3] == give and end_read - last[0] <= GROUP:
            last[1], last[3] = end_read, end_give
        else:
            found.append([read, end_read, give, end_give])
    return np.array(found, np.int64).reshape(-1, 4)
