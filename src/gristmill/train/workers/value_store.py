"""Boundary values between workers: tensors in shared memory, written once, read without a copy."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.quantities import format_bytes
from gristmill.train.records.pool import Pool
from gristmill.train.workers.value_handle import Handle, overlaps, span

_ALIGNMENT_BYTES = 64
_MOST_GAPS = 2
"""A view whose elements lie this many times further apart than need be is stored compactly."""


class ValueStore:
    """Puts tensors into this worker's shared memory, and reads those of all workers.

    Each worker has one pool: a file in memory as large as the machine's memory, of which the kernel
    gives only the pages that were ever written. Rooms that were freed are used again first, so
    that in steady state nothing is allocated and no page is touched for the first time.

    A value keeps its strides and its alignment, since both may change how a kernel rounds.

    Args:
        number: number of this process among the owners of values.
        own: the pool to put into; None in a process that only reads.
    """

    def __init__(self, number: int, own: Pool | None) -> None:
        self.number = number
        self._own = own
        self._pools: dict[int, Pool] = {} if own is None else {number: own}

    @property
    def used_bytes(self) -> int:
        """Bytes of the rooms that are taken in the own pool."""
        return 0 if self._own is None else self._own.nbytes - self._own.free

    def put(self, value: Tensor) -> Handle:
        """Copy a tensor (any device, dense) into the own pool.

        Raises:
            TrainError: the pool is full, or the tensor is sparse or quantised.
        """
        tensor = _plain(value)
        handle = self._room(tensor, value.requires_grad)
        stored = self._elements(handle)
        if handle.compact:
            stored.view(handle.shape).copy_(tensor)
        else:
            stored.copy_(tensor.as_strided((handle.stored,), (1,)))
        return handle

    def get(self, handle: Handle) -> Tensor:
        """Return the tensor behind a handle; it does not require a gradient.

        It is a view of the owner's memory, valid until the owner is told to free it: what
        autograd keeps of it must be dropped before. (A compact one is a copy.)

        Raises:
            UsageError: its owner is not known here.
        """
        stored = self._elements(handle)
        if not handle.compact:
            return stored.as_strided(handle.shape, handle.strides)
        lead = handle.shift // stored.itemsize
        room = stored.new_empty(lead + span(handle.shape, handle.strides))
        spread = room[lead:].as_strided(handle.shape, handle.strides)
        return spread.copy_(stored.view(handle.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the own pool."""
        return 0 if self._own is None else self._own.nbytes

    def bytes_of(self, handle: Handle) -> memoryview:
        """Return the bytes of a value where it lies, writable.

        Raises:
            UsageError: its owner is not known here.
        """
        first = handle.offset + handle.shift
        return self._pool_of(handle).memory[first : first + handle.nbytes]

    def free(self, handle: Handle) -> None:
        """Give back the room of a value of this worker's own.

        Raises:
            UsageError: it is another's, or was freed before.
        """
        if self._own is None or handle.owner != self.number:
            raise UsageError(f"a value of worker {handle.owner} cannot be freed by {self.number}")
        self._own.release(handle.offset)

    def pack(self, value: Any) -> Any:
        """Put all tensors of a value; in tuples, lists and dictionaries handles take their places.

        Anything else (numbers, text, None) stays as it is and travels in the message.
        """
        return _mapped(value, Tensor, self.put)

    def unpack(self, packed: Any) -> Any:
        """Return the value that `pack` made: `get` of all its handles."""
        return _mapped(packed, Handle, self.get)

    def copy(self, packed: Any) -> tuple[Any, list[Handle]]:
        """Return a copy of the value that `pack` made, and its handles, for the owner to free."""
        handles: list[Handle] = []

        def copied(handle: Handle) -> Tensor:
            handles.append(handle)
            return self.get(handle).clone()

        return _mapped(packed, Handle, copied), handles

    def introduce(self, number: int, pool: Pool) -> None:
        """Make values of worker `number` readable."""
        self._pools[number] = pool

    def forget(self, number: int) -> None:
        """Let go of the pool of worker `number`; it is unmapped with its last tensor."""
        if (pool := self._pools.pop(number, None)) is not None:
            # `Pool.close` would unmap it now: `torch.frombuffer` does not hold a map open.
            os.close(pool.fd)

    def trim(self) -> int:
        """Give pages that no value needs back to the machine, as after the end of a trial.

        Returns:
            the bytes of the holes they lie in.
        """
        if self._own is None or not hasattr(mmap, "MADV_REMOVE"):
            return 0
        holes = [(offset, size) for offset, size, taken in self._own.runs() if not taken]
        with mmap.mmap(self._own.fd, self._own.nbytes) as pages:
            for offset, size in holes:
                pages.madvise(mmap.MADV_REMOVE, offset, size)
        return sum(size for _, size in holes)

    def close(self) -> None:
        """Let go of all pools."""
        for number in list(self._pools):
            self.forget(number)

    def _room(self, tensor: Tensor, requires_grad: bool) -> Handle:
        shape, strides = tuple(tensor.shape), tensor.stride()
        stored = span(shape, strides)
        compact = stored > _MOST_GAPS * tensor.numel() and not overlaps(shape, strides)
        if compact:
            stored = tensor.numel()
        shift = _shift(tensor)
        offset = self._allocate(shift + stored * tensor.itemsize)
        dtype = str(tensor.dtype).removeprefix("torch.")
        return Handle(
            self.number, offset, shift, shape, strides, dtype, stored, compact, requires_grad
        )

    def _allocate(self, nbytes: int) -> int:
        if self._own is None:
            raise UsageError("this process only reads values")
        offset = self._own.allocate(nbytes)
        if offset is None:
            raise TrainError(
                f"no room for a value of {format_bytes(nbytes)} between workers: "
                f"{format_bytes(self.used_bytes)} of {format_bytes(self._own.nbytes)} are in use",
                fix="use a smaller batch or fewer micro-batches at once",
            )
        return offset

    def _pool_of(self, handle: Handle) -> Pool:
        pool = self._pools.get(handle.owner)
        if pool is None:
            known = ", ".join(map(str, self._pools)) or "none"
            raise UsageError(f"a value of worker {handle.owner} cannot be read; known: {known}")
        return pool

    def _elements(self, handle: Handle) -> Tensor:
        pool = self._pool_of(handle)
        dtype: torch.dtype = getattr(torch, handle.dtype)
        if handle.stored == 0:
            return torch.empty(0, dtype=dtype)
        first = handle.offset + handle.shift
        return torch.frombuffer(pool.memory, dtype=dtype, count=handle.stored, offset=first)


def _shift(tensor: Tensor) -> int:
    shift = tensor.data_ptr() % _ALIGNMENT_BYTES
    return shift - shift % tensor.itemsize


def _plain(tensor: Tensor) -> Tensor:
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise TrainError(
            f"a value between workers must be a dense tensor, found {tensor.layout}, "
            f"{tensor.dtype}",
            fix="make it dense before it leaves the layer",
        )
    return tensor.detach().resolve_conj().resolve_neg()


def _mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Apply `change` to everything of a kind in nested tuples, lists and dictionaries."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, kind, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, kind, change) for item in value]
    if isinstance(value, tuple):
        items = [_mapped(item, kind, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value
