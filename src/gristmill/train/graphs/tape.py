"""A recording of the operations that build a module, and their replay for some of its tensors.

The recording works at the level of storages (the memory behind tensors), so views, `.data`, copies
in place and weights that share memory need no special care: an operation reads the storages of its
arguments and writes those that it changes or makes. To make one weight, the operations that its
storage depends on are found going backwards, and only they are replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

_QUESTIONS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.equal.default,
}


@dataclass(frozen=True)
class Place:
    """A tensor as a view of a storage: which one, and where in it."""

    storage: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype


@dataclass(frozen=True)
class Operation:
    """One recorded operation.

    Args:
        function: what was called.
        args: its arguments, flattened, with `Place` for tensors.
        structure: how they nest.
        outputs: where its results lie.
        reads: storages that its result depends on.
        writes: storages that it makes or changes.
        draw: number of its random draw, or None.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    structure: Any
    outputs: tuple[Place | None, ...]
    reads: frozenset[int]
    writes: frozenset[int]
    draw: int | None


class Tape(TorchDispatchMode):
    """Within the block, operations on the CPU happen on the meta device and are recorded.

    Tensors that hold data already (from a list, from numpy) keep it; once they meet tensors without
    data they are recorded as they are at that moment.

    Args:
        seed_draw: seeds torch's generator for a draw of a given number.
    """

    def __init__(self, seed_draw: Callable[[int], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self.draws = 0
        self._seed_draw = seed_draw
        self._numbers: dict[int, int] = {}
        self._alive: list[torch.UntypedStorage] = []
        self._sizes: list[int] = []
        self._constants: dict[int, torch.UntypedStorage] = {}
        self._twins: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run `func` without memory and record it."""
        with torch._C.DisableTorchFunction():
            return self._dispatch(func, args, dict(kwargs or {}))

    def _dispatch(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        if func in _QUESTIONS:
            with _disable_current_modes():
                return func(*(self.value(arg) if isinstance(arg, Tensor) else arg for arg in args))
        if func is torch.ops.aten.lift_fresh.default:
            return self._hollow(args[0])
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if tensors and not _draws(func) and not any(map(self._is_recorded, tensors)):
            return func(*args, **kwargs)
        return self._record(func, leaves, structure)

    def place(self, tensor: Tensor) -> Place:
        """Return where `tensor` lies, recording its data if it has any."""
        if not _on_meta_device(tensor):
            tensor = self._twin(tensor)
        number = self._number(tensor.untyped_storage())
        return Place(
            number, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()), tensor.dtype
        )

    def _number(self, storage: torch.UntypedStorage) -> int:
        number = self._numbers.get(storage._cdata)
        if number is None:
            number = self._numbers[storage._cdata] = len(self._alive)
            self._alive.append(storage)
            self._sizes.append(storage.nbytes())
        return number

    def value(self, tensor: Tensor) -> Tensor:
        """Return the data of a tensor of the recording, by a replay."""
        if not self._is_recorded(tensor):
            return tensor
        place = self.place(tensor)
        with _disable_current_modes():
            return dict(self.replay({"value": place}))["value"].clone()

    def replay(self, wanted: dict[str, Place]) -> Iterator[tuple[str, Tensor]]:
        """Yield the data of some tensors, each as soon as it is complete.

        What a yielded tensor shares memory with may go on changing, so copy it.
        """
        chosen = self._needed({place.storage for place in wanted.values()})
        last = _last_uses(chosen)
        waiting: dict[int, list[str]] = {}
        for name, place in wanted.items():
            waiting.setdefault(last.get(place.storage, -1), []).append(name)
        memory: dict[int, torch.UntypedStorage] = {}
        for name in waiting.get(-1, ()):
            yield name, self._tensor(wanted[name], memory)
        for at, operation in enumerate(chosen):
            self._perform(operation, memory)
            for name in waiting.get(at, ()):
                yield name, self._tensor(wanted[name], memory)
            for storage in operation.reads | operation.writes:
                if last[storage] == at:
                    memory.pop(storage, None)

    def _record(self, func: Any, leaves: list[Any], structure: Any) -> Any:
        places = [self.place(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        hollow = [self._hollow(leaf) for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(hollow, structure)
        made = func(*args, **_on_meta(func, kwargs))
        outputs = [
            self.place(leaf) if isinstance(leaf, Tensor) else None
            for leaf in pytree.tree_leaves(made)
        ]
        reads = frozenset(place.storage for place in places if isinstance(place, Place))
        fresh = frozenset(place.storage for place in outputs if place is not None) - reads
        draw = None
        if _draws(func):
            draw, self.draws = self.draws, self.draws + 1
        self.operations.append(
            Operation(
                func,
                tuple(places),
                structure,
                tuple(outputs),
                reads,
                fresh | _changed(func, args, kwargs, self.place),
                draw,
            )
        )
        return made

    def _is_recorded(self, tensor: Tensor) -> bool:
        return _on_meta_device(tensor) or tensor.untyped_storage()._cdata in self._twins

    def _hollow(self, leaf: Any) -> Any:
        return self._twin(leaf) if isinstance(leaf, Tensor) and not _on_meta_device(leaf) else leaf

    def _twin(self, tensor: Tensor) -> Tensor:
        """Return a tensor on the meta device for one that holds data, and keep the data.

        From then on all that happens to that memory is recorded instead of done.
        """
        storage = tensor.untyped_storage()
        with _disable_current_modes():
            if storage._cdata not in self._twins:
                hollow = torch.UntypedStorage(storage.nbytes(), device="meta")
                self._twins[storage._cdata] = (storage, hollow)
                number = self._number(hollow)
                self._constants[number] = storage.clone()
            twin = torch.empty(0, dtype=tensor.dtype, device="meta")
            return twin.set_(
                self._twins[storage._cdata][1],
                tensor.storage_offset(),
                tensor.shape,
                tensor.stride(),
            )

    def _needed(self, wanted: set[int]) -> list[Operation]:
        needed, chosen = set(wanted), []
        for operation in reversed(self.operations):
            if not needed.isdisjoint(operation.writes):
                needed |= operation.reads
                chosen.append(operation)
        return chosen[::-1]

    def _perform(self, operation: Operation, memory: dict[int, torch.UntypedStorage]) -> None:
        leaves = [self._argument(leaf, memory) for leaf in operation.args]
        args, kwargs = pytree.tree_unflatten(leaves, operation.structure)
        if operation.draw is not None:
            self._seed_draw(operation.draw)
        with torch.no_grad():
            made = pytree.tree_leaves(operation.function(*args, **kwargs))
        for tensor, place in zip(made, operation.outputs, strict=True):
            if place is None or place.storage in memory:
                continue
            if tensor.stride() == place.stride and tensor.storage_offset() == place.offset:
                memory[place.storage] = tensor.untyped_storage()
            else:
                self._tensor(place, memory).copy_(tensor)

    def _argument(self, leaf: Any, memory: dict[int, torch.UntypedStorage]) -> Any:
        if isinstance(leaf, Place):
            return self._tensor(leaf, memory)
        # What was made beside a tensor of the recording was made on the meta device like it.
        return torch.device("cpu") if leaf == torch.device("meta") else leaf

    def _tensor(self, place: Place, memory: dict[int, torch.UntypedStorage]) -> Tensor:
        storage = memory.get(place.storage)
        if storage is None:
            storage = self._constants.get(place.storage)
            storage = storage.clone() if storage is not None else self._blank(place.storage)
            memory[place.storage] = storage
        empty = torch.empty(0, dtype=place.dtype)
        return empty.set_(storage, place.offset, place.size, place.stride)

    def _blank(self, storage: int) -> torch.UntypedStorage:
        return torch.UntypedStorage(self._sizes[storage])


class Disguise(TorchFunctionMode):
    """Within the block, tensors of a recording look as if they were on the CPU.

    Some initialisers do nothing on the meta device. Where Python asks for data, a replay makes
    them.
    """

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Answer for the CPU; let everything else happen."""
        if func in _ANSWERS and _on_meta_device(args[0]):
            return _ANSWERS[func]
        if func in (Tensor.tolist, Tensor.numpy, Tensor.__array__):
            args = (self._tape.value(args[0].detach()), *args[1:])
        return func(*args, **(kwargs or {}))


_ANSWERS = {
    Tensor.is_meta.__get__: False,  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: True,  # type: ignore[attr-defined]
    Tensor.device.__get__: torch.device("cpu"),
}


def _on_meta_device(tensor: Tensor) -> bool:
    return tensor.untyped_storage().device.type == "meta"


def _draws(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags


def _on_meta(func: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    if any(argument.name == "device" for argument in func._schema.arguments):
        return {**kwargs, "device": torch.device("meta")}
    return kwargs


def _changed(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], place: Callable[[Tensor], Place]
) -> frozenset[int]:
    changed = set()
    for at, argument in enumerate(func._schema.arguments):
        value = args[at] if at < len(args) else kwargs.get(argument.name)
        if argument.alias_info is not None and argument.alias_info.is_write:
            changed |= {
                place(leaf).storage
                for leaf in pytree.tree_leaves(value)
                if isinstance(leaf, Tensor)
            }
    return frozenset(changed)


def _last_uses(operations: Iterable[Operation]) -> dict[int, int]:
    last: dict[int, int] = {}
    for at, operation in enumerate(operations):
        last.update(dict.fromkeys(operation.reads | operation.writes, at))
    return last
