"""Blocks, exported once for each kind and put in the place of their calls.

A model of many equal blocks is exported with the blocks whole, which is quick; one block of each
kind is exported by itself. So the time that a capture takes does not grow with the model's depth,
and a block that cannot be exported stays whole while the others are taken apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gristmill.core.errors import TrainError
from gristmill.train.graphs.annotate import annotated
from gristmill.train.graphs.blocks import leaves
from gristmill.train.graphs.exported import Exported, Use, exported
from gristmill.train.graphs.parts import Arguments
from gristmill.train.graphs.program import INPUT, TENSOR, Call, Program, Ref, Size
from gristmill.train.graphs.skeleton import Holder, Skeleton
from gristmill.train.graphs.watch import Shadow

_BLOCK = "block"


@dataclass(frozen=True)
class Body:
    """What a block does when it is called in one way, as a program of its own.

    Args:
        exported: its inputs are the tensors of the call, its program is annotated.
        places: names of its tensors to where they hang in the block.
        outputs: names of the values that the tensors among its output are.
    """

    exported: Exported
    places: Mapping[str, Holder]
    outputs: tuple[str, ...]


class Bodies:
    """The bodies of a model's blocks.

    Args:
        skeleton: the model.
        kinds: path of each block to its kind.
        device: where the model will run.
    """

    def __init__(self, skeleton: Skeleton, kinds: Mapping[str, Hashable], device: str) -> None:
        self._skeleton, self._kinds, self._device = skeleton, kinds, device
        self._known: dict[Hashable, Body | Exception] = {}
        self._modeless: dict[Hashable, tuple[Skeleton, Exported]] = {}

    def of(self, use: Use, training: bool) -> Body:
        """Return the body of a call of a block.

        Raises:
            Exception: the block cannot be taken apart.
        """
        shapes = tuple((str(shape), dtype) for shape, dtype in use.tensors)
        kind = (self._kinds[use.call.target], use.arguments.kind, shapes)
        key = (kind, training)
        if key not in self._known:
            try:
                self._known[key] = self._body(use, training, kind)
            except Exception as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, Exception):
            raise known
        if None in use.values:
            raise TrainError("it is called with a constant tensor")
        return known

    def _body(self, use: Use, training: bool, kind: Hashable) -> Body:
        if use.arguments.sized:
            raise TrainError("it is called with sizes")
        example = tuple(
            torch.empty([_hint(size) for size in shape], dtype=dtype, device="meta")
            for shape, dtype in use.tensors
        )
        if kind not in self._modeless:
            made = self._exported(use, example, training)
            if made[1].modeless:
                self._modeless[kind] = made
        else:
            made = self._modeless[kind]
        skeleton, found = made
        shadow = Shadow(skeleton.module, self._device)
        inputs = tuple(map(shadow.like, example))
        program = annotated(found.program, skeleton, shadow, inputs, training)
        places = {name: _within(holders[0]) for name, holders in skeleton.holders.items()}
        return Body(replace(found, program=program), places, _outputs(program, use))

    def _exported(
        self, use: Use, example: tuple[Tensor, ...], training: bool
    ) -> tuple[Skeleton, Exported]:
        block = self._skeleton.module.get_submodule(use.call.target)
        skeleton = Skeleton(_Alone(block, use.arguments))
        free = tuple(tuple(not isinstance(s, int) for s in shape) for shape, _ in use.tensors)
        found = exported(
            skeleton,
            example,
            leaves(skeleton.module),
            {},
            training=training,
            device=self._device,
            free=free,
        )
        _check_free(found, free)
        return skeleton, found


class _Alone(nn.Module):
    """Calls a block with all arguments but tensors filled in."""

    def __init__(self, block: nn.Module, arguments: Arguments) -> None:
        super().__init__()
        self.block, self.arguments = block, arguments

    def forward(self, *tensors: Tensor) -> Any:
        args, kwargs = self.arguments.filled(tensors, ())
        return self.block(*args, **kwargs)


def _hint(size: Any) -> int:
    return size if isinstance(size, int) else int(size.node.hint)


def _check_free(found: Exported, free: tuple[tuple[bool, ...], ...]) -> None:
    for at, (shape, varies) in enumerate(zip(found.shapes, free, strict=True)):
        for dim, size in enumerate(shape):
            if varies[dim] and size is not None:
                raise TrainError(f"dimension {dim} of its tensor {at} must be {size}")


def _within(holder: Holder) -> Holder:
    path, attribute = holder
    return path.removeprefix(_BLOCK).removeprefix("."), attribute


def _outputs(program: Program, use: Use) -> tuple[str, ...]:
    made = pytree.tree_leaves(program.output)
    tensors = [made[leaf] for leaf in use.leaves]
    if not all(isinstance(tensor, Ref) for tensor in tensors):
        raise TrainError("it returns a constant tensor")
    return tuple(tensor.name for tensor in tensors)


def expanded(
    whole: Exported, bodies: Mapping[str, Body], skeleton: Skeleton
) -> tuple[Program, tuple[Any, ...]]:
    """Put bodies in the place of calls.

    Args:
        whole: a model's forward, its program annotated.
        bodies: by the name of the call.
        skeleton: the model.

    Returns:
        The program, and the conditions on sizes of the model and of all bodies.
    """
    names = {place: name for name, places in skeleton.holders.items() for place in places}
    renamed: dict[str, str] = {}
    calls: list[Call] = []
    sizes = dict(whole.program.sizes)
    conditions = list(whole.conditions)
    for call in whole.program.calls:
        if call.name in bodies:
            placed = _Placed(bodies[call.name], whole, whole.uses[call.name], names, renamed)
            calls += placed.calls()
            sizes |= placed.sizes()
            conditions += placed.conditions()
            renamed |= placed.outputs()
        elif call.name not in renamed:
            calls.append(call)
    program = Program(tuple(calls), whole.program.output, sizes).renamed(renamed)
    return program, tuple(dict.fromkeys(conditions))


class _Placed:
    """A body at the place of one of its calls: its names become names of the model."""

    def __init__(
        self,
        body: Body,
        whole: Exported,
        use: Use,
        names: Mapping[Holder, str],
        renamed: Mapping[str, str],
    ) -> None:
        self._body, self._whole, self._use = body, whole, use
        path = use.call.target
        self._tensors = {
            name: names[f"{path}.{below}".strip("."), attribute]
            for name, (below, attribute) in body.places.items()
        }
        values = [name for name in use.values if name is not None]
        self._names = {f"{INPUT}{at}": renamed.get(name, name) for at, name in enumerate(values)}
        self._names |= {TENSOR + name: TENSOR + new for name, new in self._tensors.items()}
        made = {call.name: f"{use.call.name}/{call.name}" for call in body.exported.program.calls}
        self._names |= made
        self._program = body.exported.program.renamed(self._names)

    def calls(self) -> Iterator[Call]:
        """Yield the calls of the body."""
        use = self._use.call
        for call in self._program.calls:
            target = call.target
            if call.module:
                target = f"{use.target}{call.target.removeprefix(_BLOCK)}"
            yield replace(
                call,
                target=target,
                tensors=tuple(map(self._tensors.__getitem__, call.tensors)),
                mutates=tuple(map(self._tensors.__getitem__, call.mutates)),
                reassigns=tuple(map(self._tensors.__getitem__, call.reassigns)),
                grad=call.grad and use.grad,
            )

    def sizes(self) -> dict[str, tuple[Size, ...]]:
        """Return, for numbers that are a size of a model input, where else it is found."""
        known = {}
        for name, places in self._body.exported.program.sizes.items():
            inputs = [
                Size(*place)
                for size in places
                if size.value.startswith(INPUT)
                for place in self._whole.symbols.get(self._outside(size.value, size.dim), ())
            ]
            if inputs:
                others = self._program.sizes[self._names[name]]
                known[self._names[name]] = (*others, *inputs)
        return known

    def conditions(self) -> Iterator[Any]:
        """Yield the conditions on sizes, in the symbols of the model."""
        symbols = self._body.exported.symbols
        outside = {symbol: self._outside(*places[0]) for symbol, places in symbols.items()}
        for condition in self._body.exported.conditions:
            yield condition.subs(outside, simultaneous=True)

    def outputs(self) -> dict[str, str]:
        """Return what the call's values are called now."""
        made = [self._names[name] for name in self._body.outputs]
        call = self._use.call.name
        pieces = {f"{call}.{at}": name for at, name in enumerate(made)}
        return {call: made[0], **pieces} if len(made) == 1 else pieces

    def _outside(self, value: str, dim: int) -> Any:
        size = self._use.tensors[int(value.removeprefix(INPUT))][0][dim]
        return size if isinstance(size, int) else size.node.expr
