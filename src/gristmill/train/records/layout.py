"""Where each tensor of a record lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import UsageError
from gristmill.train.records.key import BLOCK_BYTES

if TYPE_CHECKING:
    from torch import Tensor

    from gristmill.train.graphs.tensor_spec import TensorSpec

TENSOR_ALIGNMENT = 64
"""Bytes; a cache line. Kernels may round differently where a tensor starts elsewhere."""


class LayoutEntry(msgspec.Struct, frozen=True, array_like=True):
    """A tensor of a record: its name, shape, dtype (as `float32`), first byte and bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    nbytes: int


class RecordLayout(msgspec.Struct, frozen=True):
    """The tensors of a record, in order.

    Attributes:
        entries: each aligned to 64 bytes.
        nbytes: size of the record, whole blocks of 4096 bytes; 0 where there are no tensors.
    """

    entries: tuple[LayoutEntry, ...]
    nbytes: int

    @classmethod
    def of(cls, specs: Iterable[TensorSpec]) -> RecordLayout:
        """Lay tensors out one after another.

        Raises:
            UsageError: two of them have one name.
        """
        entries: list[LayoutEntry] = []
        end = 0
        for spec in specs:
            offset = _aligned(end, TENSOR_ALIGNMENT)
            entries.append(LayoutEntry(spec.name, spec.shape, spec.dtype, offset, spec.nbytes))
            end = offset + spec.nbytes
        if len({entry.name for entry in entries}) < len(entries):
            raise UsageError(f"tensors of one record need names of their own: {_twice(entries)}")
        return cls(tuple(entries), _aligned(end, BLOCK_BYTES))

    def views(self, buffer: Tensor) -> dict[str, Tensor]:
        """Return the tensors that lie in `buffer`, without a copy.

        Args:
            buffer: uint8[at least nbytes], aligned to 64 bytes, such as a slice of a pool's tensor.

        Raises:
            UsageError: the buffer is too small.
        """
        import torch

        if buffer.numel() < self.nbytes:
            raise UsageError(
                f"a record of {self.nbytes} bytes does not fit a buffer of {buffer.numel()}"
            )
        return {
            entry.name: buffer[entry.offset : entry.offset + entry.nbytes]
            .view(getattr(torch, entry.dtype))
            .view(entry.shape)
            for entry in self.entries
        }

    @property
    def tensor_bytes(self) -> int:
        """Bytes of the tensors alone, without the gaps between them."""
        return sum(entry.nbytes for entry in self.entries)


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _twice(entries: list[LayoutEntry]) -> str:
    counts = Counter(entry.name for entry in entries)
    return ", ".join(repr(name) for name, count in counts.items() if count > 1)
