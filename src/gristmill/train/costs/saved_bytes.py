"""What a forward pass keeps for its backward pass, and the most that both have in use."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gristmill.train.graphs.watch import storage_of


class Saved(NamedTuple):
    """Memory kept by a pass, each storage once.

    Attributes:
        inner_bytes: of storages that are neither weights, values read nor values written.
        reads: numbers of the values read that are kept.
        writes: numbers of the values written that are kept; none whose memory is that of a value
            read.
    """

    inner_bytes: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]


class SavedTensors(saved_tensors_hooks):
    """Within the block, notes every tensor that autograd keeps."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        super().__init__(self._note, lambda tensor: tensor)

    def _note(self, tensor: Tensor) -> Tensor:
        # The tensor itself must not be kept: an output would then keep its own graph alive.
        self.tensors.append(tensor.detach())
        return tensor

    def account(
        self, weights: Iterable[Tensor], reads: Iterable[Any], writes: Iterable[Any]
    ) -> Saved:
        """Say where the memory that was kept belongs."""
        own = {storage_of(each) for each in weights}
        read = _numbered(reads)
        written = {
            storage: number for storage, number in _numbered(writes).items() if storage not in read
        }
        kept = {storage_of(each): _storage_bytes(each) for each in self.tensors}
        inner = [size for key, size in kept.items() if key not in own | set(read) | set(written)]
        return Saved(
            sum(inner),
            tuple(sorted(number for storage, number in read.items() if storage in kept)),
            tuple(sorted(number for storage, number in written.items() if storage in kept)),
        )


class PeakBytes(TorchDispatchMode):
    """Within the block, follows the memory of all tensors that operations make.

    What a kernel takes and gives back within one operation is not seen.

    Attributes:
        live: bytes made in the block and still in use.
        peak: most that `live` has been.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: dict[int, Callable[[], object]] = {}

    def ignore(self, tensors: Iterable[Any]) -> None:
        """Leave out memory that was there before."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                self._known.setdefault(storage_of(tensor), lambda: None)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operation and note what it returns."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._note(tensor)
        return result

    def _note(self, tensor: Tensor) -> None:
        key, size = storage_of(tensor), _storage_bytes(tensor)
        if key in self._known or not size:
            return
        self.live += size
        self.peak = max(self.peak, self.live)
        self._known[key] = weakref.finalize(tensor.untyped_storage(), self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self.live -= size
        self._known.pop(key, None)


def bytes_of(value: Any) -> int:
    """Return the bytes of a dense tensor's elements or a sparse one's parts, 0 of other things."""
    if not isinstance(value, Tensor):
        return 0
    if value.layout is torch.sparse_coo:
        return bytes_of(value._indices()) + bytes_of(value._values())
    return value.numel() * value.element_size()


def _storage_bytes(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().nbytes())


def _numbered(values: Iterable[Any]) -> dict[int, int]:
    return {
        storage_of(value): number
        for number, value in enumerate(values)
        if isinstance(value, Tensor)
    }
