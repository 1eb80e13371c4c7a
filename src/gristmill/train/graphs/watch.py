"""What a call does besides computing its result, found by running it without memory or data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from gristmill.core.errors import TrainError

_MOST_ANSWERS = 1000
_ANSWERS = ((False,), (True,), (False, True), (True, False))
_QUESTIONS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.item.default,
    torch.ops.aten.is_nonzero.default,
}


@dataclass(frozen=True)
class Observation:
    """What one call did.

    Args:
        output: what it returned, with tensors that hold no data.
        draws: random draws.
        varying: whether the number of draws depends on the data.
        asks: whether it asked for the value of a tensor.
        written: storages of tensors that it wrote into.
        reassigned: names of buffers of the module that it replaced by new tensors.
    """

    output: Any
    draws: int
    varying: bool
    asks: bool
    written: frozenset[int]
    reassigned: frozenset[str]


class Watch(TorchDispatchMode):
    """Counts draws, notes what is written to, and answers questions about data.

    Tensors hold no data here, so a branch on a value cannot be decided; questions get `answers` in
    turn, again and again.
    """

    def __init__(self, answers: tuple[bool, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draws = 0
        self.asked = 0
        self.written: set[int] = set()
        self._answers = answers

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Note what `func` does and let it run."""
        if func in _QUESTIONS:
            return self._scalar(args[0])
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.draws += 1
        self._note_writes(func, args)
        return func(*args, **(kwargs or {}))

    def _scalar(self, tensor: Tensor) -> bool | int | float:
        self.asked += 1
        if self.asked > _MOST_ANSWERS:
            raise TrainError("a loop in the forward runs until its data say stop")
        answer = self._answers[(self.asked - 1) % len(self._answers)]
        if tensor.dtype == torch.bool:
            return answer
        return float(answer) if tensor.dtype.is_floating_point else int(answer)

    def _note_writes(self, func: Any, args: tuple[Any, ...]) -> None:
        # The schema of batch_norm keeps quiet about the running statistics that it changes.
        secret = "batch_norm" in func.__name__ and "backward" not in func.__name__
        for at, (argument, value) in enumerate(zip(func._schema.arguments, args, strict=False)):
            says = argument.alias_info is not None and argument.alias_info.is_write
            if (
                says or (secret and at in (3, 4) and any(item is True for item in args))
            ) and isinstance(value, Tensor):
                self.written.add(storage_of(value))


def storage_of(tensor: Tensor) -> int:
    """Return what identifies the memory of a tensor as long as the tensor lives."""
    return int(tensor.untyped_storage()._cdata)


class Shadow:
    """A model whose tensors have shapes, dtypes and a device, but no data and no memory.

    Args:
        module: a module, on the meta device.
        device: where its tensors claim to be.

    Attributes:
        mode: the mode that its tensors belong to.
        module: the copy.
    """

    def __init__(self, module: nn.Module, device: str) -> None:
        # Imported here: it loads what a worker, which captures nothing, can do without.
        from torch.fx.experimental.symbolic_shapes import ShapeEnv

        self.mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
        self.device = torch.device(device)
        memo: dict[int, Any] = {}
        for parameter in module.parameters():
            memo[id(parameter)] = nn.Parameter(
                self.like(parameter), requires_grad=parameter.requires_grad
            )
        for buffer in module.buffers():
            memo.setdefault(id(buffer), self.like(buffer))
        self.module = copy.deepcopy(module, memo)
        self.paths = {id(part): path for path, part in self.module.named_modules()}

    def like(self, tensor: Tensor, shape: Iterable[int] | None = None) -> Tensor:
        """Return a tensor without data, of the dtype of `tensor` and of its or another shape."""
        with self.mode:
            size = list(tensor.shape if shape is None else shape)
            return torch.empty(size, dtype=tensor.dtype, device=self.device)

    def observe(self, call: Callable[[], Any], module: nn.Module | None = None) -> Observation:
        """Run `call`, which runs `module` if one is given, and note what it does.

        If it asks for the value of a tensor it is run again with other answers.

        Raises:
            TrainError: its result's structure or shapes depend on data.
        """
        first = self._once(call, module, _ANSWERS[0])
        if not first.asks:
            return first
        all_seen = [first, *(self._once(call, module, answers) for answers in _ANSWERS[1:])]
        if any(_shape(seen.output) != _shape(first.output) for seen in all_seen):
            raise TrainError("the shapes of what it returns depend on its data")
        return Observation(
            first.output,
            max(seen.draws for seen in all_seen),
            len({seen.draws for seen in all_seen}) > 1,
            True,
            frozenset().union(*(seen.written for seen in all_seen)),
            frozenset().union(*(seen.reassigned for seen in all_seen)),
        )

    def _once(
        self, call: Callable[[], Any], module: nn.Module | None, answers: tuple[bool, ...]
    ) -> Observation:
        watch = Watch(answers)
        with _kept_buffers(module) as replaced, self.mode, watch:
            output = call()
        return Observation(
            output,
            watch.draws,
            False,
            watch.asked > 0,
            frozenset(watch.written),
            frozenset(replaced),
        )


@contextmanager
def _kept_buffers(module: nn.Module | None) -> Iterator[set[str]]:
    """Put back the buffers that the block replaces, and yield their names within `module`."""
    replaced: set[str] = set()
    parts = dict(module.named_modules()) if module is not None else {}
    before = {path: dict(part._buffers) for path, part in parts.items()}
    try:
        yield replaced
    finally:
        for path, part in parts.items():
            for name, buffer in before[path].items():
                if part._buffers.get(name) is not buffer:
                    replaced.add(f"{path}.{name}".strip("."))
                    part._buffers[name] = buffer


def _shape(tree: Any) -> tuple[Any, ...]:
    leaves, structure = pytree.tree_flatten(tree)
    return structure, tuple(
        (leaf.dtype, tuple(leaf.shape)) if isinstance(leaf, Tensor) else type(leaf)
        for leaf in leaves
    )
