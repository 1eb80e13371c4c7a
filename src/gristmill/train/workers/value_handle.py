"""Where a boundary value lies: what is sent from worker to worker in place of a tensor."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Handle(NamedTuple):
    """A tensor in the shared memory of the worker that made it.

    Attributes:
        owner: number of that worker; numbers are never used twice.
        offset: byte at which the room of the value begins, as the owner's allocator knows it.
        shift: bytes from there to the first element: keeps the alignment the tensor had.
        shape: its shape.
        strides: its strides, in elements: kernels may round differently on another layout.
        dtype: as `float32`.
        stored: elements in memory: those of the shape, with the gaps between them unless compact.
        compact: whether the elements lie row by row, and are spread out when read.
        requires_grad: whether it required a gradient where it was made.
    """

    owner: int
    offset: int
    shift: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    stored: int
    compact: bool
    requires_grad: bool

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return self.stored * dtype.itemsize


def overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Tell whether two elements of a tensor may lie at the same place, as when it is expanded."""
    reach = 0
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += (size - 1) * stride
    return False


def span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return the distance in elements from the first element to behind the last."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
