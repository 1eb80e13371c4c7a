"""Calls compiled to a list of steps over numbered slots, and the loop that runs them.

Constants sit in slots too, so a step is `slots[out] = function(*get(slots))` with a getter written
in C. Slots are emptied after their last use, as local variables of a forward would be. Slot 0 holds
the block of keyed draws that the steps run in: only those that may draw resume it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import torch

from gristmill.core.errors import TrainError
from gristmill.train.draws import KeyedDraws
from gristmill.train.graphs.operations import operation
from gristmill.train.graphs.program import Call, Program, Ref, refs

Getter = Callable[[list[Any]], Any]
_DRAWS = 0


class Step(NamedTuple):
    """One operation: its function, how its arguments are fetched, where its result goes."""

    function: Callable[..., Any]
    get: Getter
    out: int
    free: tuple[int, ...]


class Steps:
    """A runnable list of steps.

    Args:
        steps: in order.
        slots: contents of all slots before the first step.
        inputs: value name and slot of everything that must be handed in.
        outputs: what to return: nested references to slots, by value name.
    """

    def __init__(
        self,
        steps: list[Step],
        slots: list[Any],
        inputs: Mapping[str, int],
        outputs: Mapping[str, Getter],
    ) -> None:
        self._steps = steps
        self._slots = slots
        self._inputs = tuple(inputs.items())
        self._outputs = tuple(outputs.items())

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values that `run` looks up."""
        return tuple(name for name, _ in self._inputs)

    def run(
        self, values: Mapping[str, Any], own: Mapping[str, Any], draws: KeyedDraws | None
    ) -> dict[str, Any]:
        """Run all steps.

        Args:
            values: what earlier stages made and model inputs, by name.
            own: parameters and buffers, by name.
            draws: a paused block, which is resumed for the steps that may draw.
        """
        slots = self._slots.copy()
        slots[_DRAWS] = draws
        for name, slot in self._inputs:
            slots[slot] = own[name] if name in own else values[name]
        for function, get, out, free in self._steps:
            slots[out] = function(*get(slots))
            for slot in free:
                slots[slot] = None
        return {name: get(slots) for name, get in self._outputs}


class Compiler:
    """Turns calls into steps.

    Args:
        program: where the calls come from; its numbers are worked out anew wherever needed.
        modules: path to what is called for it.
    """

    def __init__(self, program: Program, modules: Mapping[str, Callable[..., Any]]) -> None:
        self._program = program
        self._by_name = {call.name: call for call in program.calls}
        self._modules = modules
        self._steps: list[tuple[Callable[..., Any], tuple[int, ...], int]] = []
        self._slots: list[Any] = [None]
        self._slot_of: dict[str, int] = {}
        self._inputs: dict[str, int] = {}
        self._recorded = True
        self._before = -1

    def feed(self, name: str, value: str | None = None) -> None:
        """Take the value that calls know as `name` from what is handed in as `value`."""
        slot = self._inputs.get(value or name)
        if slot is None:
            slot = self._inputs[value or name] = self._new_slot(None)
        self._slot_of[name] = slot

    def add(self, calls: Iterable[Call], after: Mapping[str, Callable[[], None]]) -> None:
        """Append `calls`; `after[path]` runs after each call of the module at `path`."""
        for call in calls:
            if call.scalar:
                continue
            self._switch(call.grad)
            self._call(call)
            if call.module and call.target in after:
                self._steps.append((after[call.target], (), self._new_slot(None)))
        self._switch(recorded=True)

    def finish(self, outputs: Mapping[str, Any]) -> Steps:
        """Return the runnable steps that yield `outputs` (value name to nested references)."""
        kept = {name: self._getter(tree) for name, tree in outputs.items()}
        held = {slot for tree in outputs.values() for slot in map(self._slot, refs(tree))}
        held |= {slot for slot, value in enumerate(self._slots) if value is not None}
        return Steps(self._with_frees(held), self._slots, self._inputs, kept)

    def _with_frees(self, held: set[int]) -> list[Step]:
        steps: list[Step] = []
        for function, wanted, out in reversed(self._steps):
            free = tuple(sorted({*wanted, out} - held))
            held.update(free)
            steps.append(Step(function, _get(wanted), out, free))
        return steps[::-1]

    def _getter(self, tree: Any) -> Getter:
        if isinstance(tree, Ref):
            return itemgetter(self._slot(tree.name))
        return _rebuild(tree, self._slot)

    def _new_slot(self, value: Any) -> int:
        self._slots.append(value)
        return len(self._slots) - 1

    def _switch(self, recorded: bool) -> None:
        """Turn autograd's recording off before calls that the model makes without it, and back."""
        if recorded == self._recorded:
            return
        if recorded:
            self._steps.append((torch._C._set_grad_enabled, (self._before,), self._new_slot(None)))
        else:
            self._before = self._new_slot(None)
            self._steps.append((_stop_recording, (), self._before))
        self._recorded = recorded

    def _call(self, call: Call) -> None:
        function = self._modules[call.target] if call.module else operation(call.target)
        if call.kwargs:
            function = _Spread(function)
            wanted: tuple[int, ...] = (self._packed(call.args), self._packed(dict(call.kwargs)))
        else:
            wanted = tuple(self._packed(arg) for arg in call.args)
        if call.may_draw:
            once = call.draws == 1 and not call.varying and not call.asks
            function = _DrawingOnce(function) if once else _Drawing(function)
            wanted = (_DRAWS, *wanted)
        self._emit(function, wanted, call.name)

    def _emit(self, function: Callable[..., Any], wanted: tuple[int, ...], name: str) -> None:
        self._slot_of[name] = self._new_slot(None)
        self._steps.append((function, wanted, self._slot_of[name]))

    def _packed(self, tree: Any) -> int:
        """Return the slot of an argument; nested ones with values in them are built by a step."""
        if isinstance(tree, Ref):
            return self._slot(tree.name)
        if not any(True for _ in refs(tree)):
            return self._new_slot(tree)
        slots = tuple(dict.fromkeys(self._slot(name) for name in refs(tree)))
        place = {slot: at for at, slot in enumerate(slots)}
        build = _rebuild(tree, lambda name: place[self._slot(name)])
        out = self._new_slot(None)
        self._steps.append((lambda *items: build(items), slots, out))  # type: ignore[arg-type]
        return out

    def _slot(self, name: str) -> int:
        if name not in self._slot_of:
            self._number(name)
        return self._slot_of[name]

    def _number(self, name: str) -> None:
        call = self._by_name.get(name)
        known = self._program.sizes.get(name, ())
        if call is None or not call.scalar:
            if not name.startswith("input."):
                raise TrainError(f"value {name} is read, but no earlier call makes it")
            self.feed(name)
        elif known:
            size = next((size for size in known if size.value in self._slot_of), known[-1])
            self._emit(_size, (self._slot(size.value), self._new_slot(size.dim)), name)
        else:
            self._call(call)


class _Spread:
    """Calls a function with positional and keyword arguments that come as two containers."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, args: Any, kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


class _DrawingOnce:
    """Calls a function that draws once, seeded by the block that comes before its arguments.

    The draw is the only operation of the function that the generator's state matters to, so there
    is no need to watch for it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, draws: KeyedDraws | None, *args: Any) -> Any:
        if draws is not None:
            draws.seed_next()
        return self._function(*args)


class _Drawing:
    """Calls a function within the block of keyed draws that comes before its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, draws: KeyedDraws | None, *args: Any) -> Any:
        if draws is None:
            return self._function(*args)
        with draws.resumed():
            return self._function(*args)


def _size(tensor: torch.Tensor, dim: int) -> int:
    return tensor.shape[dim]


def _stop_recording() -> bool:
    before = torch.is_grad_enabled()
    torch._C._set_grad_enabled(False)
    return before


def _get(slots: tuple[int, ...]) -> Getter:
    if len(slots) == 1:
        only = slots[0]
        return lambda held: (held[only],)
    if not slots:
        return lambda held: ()  # noqa: ARG005
    return itemgetter(*slots)


def _rebuild(tree: Any, slot: Callable[[str], int]) -> Getter:
    if isinstance(tree, Ref):
        return itemgetter(slot(tree.name))
    if isinstance(tree, (list, tuple)):
        parts = [_rebuild(item, slot) for item in tree]
        if hasattr(tree, "_fields"):
            kind = type(tree)
            return lambda held: kind(*[part(held) for part in parts])
        if isinstance(tree, list):
            return lambda held: [part(held) for part in parts]
        return lambda held: tuple([part(held) for part in parts])
    if isinstance(tree, Mapping):
        named = {key: _rebuild(item, slot) for key, item in tree.items()}
        return lambda held: {key: part(held) for key, part in named.items()}
    if isinstance(tree, slice):
        bounds = [_rebuild(item, slot) for item in (tree.start, tree.stop, tree.step)]
        return lambda held: slice(*[part(held) for part in bounds])
    return lambda held: tree  # noqa: ARG005
