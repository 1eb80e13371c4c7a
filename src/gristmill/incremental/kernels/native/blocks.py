"""Blocks of a map that differ from what is kept, found and written in C in one pass over both."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.structures import SieveStructure
from gristmill.incremental.regions.rectangle import Rectangle

_SIDES = 4
MOST = 16
"""Blocks along a side of a rectangle, at most; as C has it."""


def fits(*maps: Tensor) -> bool:
    """Whether there is a C compiler, and the pixels of each row lie side by side in all."""
    return all(map(_readable, maps)) and library() is not None


def let_through(
    found: Tensor,
    kept: Tensor,
    places: Sequence[Rectangle],
    threshold: float,
    origin: tuple[int, int],
) -> list[Rectangle]:
    """Write new numbers where they differ by more than a threshold from the kept ones.

    Args:
        found: float32[1, channels, height, width], which `fits`.
        kept: likewise, the whole map; written.
        places: rectangles of the map, none of them empty and all inside of what was found.
        threshold: the largest difference that waits.
        origin: row and column of the map where what was found begins.

    Returns:
        Places that were written, as `sieve.let_through` has them.
    """
    native = library()
    assert native is not None  # noqa: S101 - `fits` has said so
    sieve = SieveStructure(
        found.data_ptr(),
        found.stride(2),
        *origin,
        kept.data_ptr(),
        kept.stride(2),
        kept.shape[1],
        threshold,
    )
    room = (ctypes.c_long * (_SIDES * MOST * MOST // 2 * len(places)))()
    native.let_through.restype = ctypes.c_long
    count = native.let_through(
        ctypes.byref(sieve),
        (ctypes.c_long * (_SIDES * len(places)))(*chain.from_iterable(places)),
        ctypes.c_long(len(places)),
        room,
    )
    sides = iter(room[: _SIDES * count])
    return list(map(Rectangle, sides, sides, sides, sides))


def _readable(values: Tensor) -> bool:
    channels, width = values.shape[1], values.shape[3]
    beside = (channels == 1 or values.stride(1) == 1) and (
        width == 1 or values.stride(3) == channels
    )
    return beside and values.dtype == torch.float32 and values.device.type == "cpu"
