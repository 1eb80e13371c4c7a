"""A run of consecutive layers as one function of named values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gristmill.core.errors import TrainError
from gristmill.train.draws import KeyedDraws
from gristmill.train.graphs.program import INPUT, TENSOR, Call, Ref
from gristmill.train.graphs.saved import SavedByPlace
from gristmill.train.graphs.steps import Compiler, Steps
from gristmill.train.graphs.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gristmill.train.graphs.layer_graph import LayerGraph

_NOTHING = nullcontext()
OUTPUT = "output"
"""Name under which the last stage hands out what the model returns."""


class Stage:
    """Layers [first, last) of a model.

    What it computes has the bits of the whole model run in the same mode: outputs, gradients and
    changed buffers. A value that it reads and that a later stage reads too is written again, under
    its next name (see `values`): hand the same tensor on, and start this stage's backward from its
    gradient as from those of the other outputs.

    Attributes:
        first: number of its first layer.
        last: number of the layer after its last.
        reads: names of the values and model inputs that it reads.
        writes: names of the values that later stages read; `output` if it is the last.
        passes: of those, the ones that it only passes on, and the name it reads them by.
        parameters: those that it owns.
        buffers: those that it owns.
        mutates: names of its buffers that a forward in training mode changes.
        first_draw: number of its first random draw in training mode.
        draws: how many it makes.
        varies: whether that depends on the data; `draws` is the most that was seen then.
        movable: whether tensors may be bound elsewhere between a forward and its backward. It
            costs a microsecond or two for each tensor that autograd keeps; without it, bind only
            when no graph is waiting for its backward (or to where the tensors were at its forward).
    """

    def __init__(self, graph: LayerGraph, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.movable = True
        skeleton = graph.skeleton
        calls = {mode: graph.calls(mode, first, last) for mode in (True, False)}
        crossing = [value for value in graph.values if value.read_in(first, last)]
        owned = [
            value.name.removeprefix(TENSOR)
            for value in graph.values
            if value.name.startswith(TENSOR) and first <= value.made < last
        ]
        self.parameters = tuple(
            spec for name, spec in skeleton.parameters.items() if name in set(owned)
        )
        self.buffers = tuple(spec for name, spec in skeleton.buffers.items() if name in set(owned))
        self.writes, self.passes = _written(graph, first, last)
        changed = {name for call in calls[True] for name in call.mutates}
        self.mutates = tuple(spec.name for spec in self.buffers if spec.name in changed)
        self.first_draw = sum(layer.draws for layer in graph.layers[:first])
        self.draws = sum(layer.draws for layer in graph.layers[first:last])
        self.varies = any(call.varying for call in calls[True])
        self._sizes = graph.sizes
        self._modules = _copies(
            graph, {call.target for m in calls for call in calls[m] if call.module}
        )
        self._places = self._find_places(graph)
        received = [value.name for value in crossing if value.name.startswith(TENSOR)]
        self._received = [
            (value.name_at(first), self._release(value.name.removeprefix(TENSOR)))
            for value in crossing
            if value.name in received
        ]
        self._tensors = self._owned_tensors(owned)
        self._flags = _flags(graph, self._modules)
        self._training: bool | None = None
        self._saved = SavedByPlace()
        self._steps = {mode: self._compile(graph, mode, calls[mode]) for mode in (True, False)}
        names = [value.name_at(first) for value in crossing]
        inputs = {name for steps in self._steps.values() for name in steps.inputs}
        self.reads = (*(name for name in graph.inputs if name in inputs), *names)

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """Return its parameters by name; on the meta device until they are bound."""
        return {
            spec.name: self._tensors[TENSOR + spec.name]  # type: ignore[misc]
            for spec in self.parameters
        }

    def named_buffers(self) -> dict[str, Tensor]:
        """Return its buffers by name; on the meta device until they are bound."""
        return {spec.name: self._tensors[TENSOR + spec.name] for spec in self.buffers}

    def bind(self, tensors: Mapping[str, Tensor]) -> None:
        """Point parameters and buffers at `tensors`, without a copy.

        After the first time (on one device) parameters stay the same objects, with their gradients.

        Args:
            tensors: a tensor for each parameter and buffer, by name; others are ignored.

        Raises:
            TrainError: one is missing, or has another shape or dtype.
        """
        for spec in (*self.parameters, *self.buffers):
            tensor = tensors.get(spec.name)
            if tensor is None:
                raise TrainError(
                    f"no tensor for {spec.name} among the {len(tensors)} that were given",
                    where=f"stage of layers {self.first} to {self.last - 1}",
                )
            if tensor.dtype != spec.torch_dtype or tensor.shape != spec.shape:
                raise TrainError(
                    f"expected {spec.dtype} of shape {list(spec.shape)}, found "
                    f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}",
                    where=spec.name,
                )
            self._place(spec, tensor)
        self._saved.bound(self._tensors.values())

    def __call__(self, values: Mapping[str, Any], *, training: bool) -> dict[str, Any]:
        """Run the layers.

        Args:
            values: by name, at least those in `reads`.
            training: whether modules are in training mode.

        Returns:
            The values in `writes`.

        Raises:
            TrainError: a model input has another number of dimensions than the example, or another
                size in one that the captured model fixes.
        """
        if training is not self._training:
            self._switch(training)
        self._sizes.check(values)
        for name, places in self._received:
            for module, attribute in places:
                _hang(module, attribute, values[name])
        recorded = torch.is_grad_enabled()
        draws = KeyedDraws.active()
        saving = self._saved if self.movable and recorded else _NOTHING
        try:
            with saving, draws.paused() if draws else _NOTHING:
                return self._steps[training].run(values, self._tensors, draws)
        finally:
            torch._C._set_grad_enabled(recorded)

    def _switch(self, training: bool) -> None:
        for module, in_training, in_evaluation in self._flags:
            module.training = in_training if training else in_evaluation
        self._training = training

    def _compile(self, graph: LayerGraph, mode: bool, calls: tuple[Call, ...]) -> Steps:
        run = {
            path: module if _hooked(module) else module.forward
            for path, module in self._modules.items()
        }
        compiler = Compiler(graph.program(mode), run)
        for value in graph.values:
            if value.read_in(self.first, self.last):
                compiler.feed(value.name, value.name_at(self.first))
        for name in self._tensors:
            compiler.feed(name)
        compiler.add(calls, self._write_backs(calls) if mode else {})
        outputs: dict[str, Any] = {
            value.name_at(self.last): Ref(value.name)
            for value in graph.values
            if value.crosses(self.last)
        }
        outputs = {name: outputs[name] for name in self.writes if name in outputs}
        if self.last == len(graph.layers):
            outputs[OUTPUT] = graph.program(mode).output
        return compiler.finish(outputs)

    def _find_places(self, graph: LayerGraph) -> dict[str, list[tuple[nn.Module, str]]]:
        """Return where in the copied modules each tensor hangs."""
        places: dict[str, list[tuple[nn.Module, str]]] = {}
        seen: set[int] = set()
        for path, module in self._modules.items():
            for below, part in module.named_modules():
                if id(part) in seen:
                    continue
                seen.add(id(part))
                whole = f"{path}.{below}".strip(".")
                for attribute, name in graph.hangs.get(whole, {}).items():
                    places.setdefault(name, []).append((part, attribute))
        return places

    def _release(self, name: str) -> list[tuple[nn.Module, str]]:
        """Make a tensor that another stage owns a plain attribute, set before each call."""
        places = self._places.get(name, [])
        for module, attribute in places:
            module._parameters.pop(attribute, None)
            module._buffers.pop(attribute, None)
        return places

    def _owned_tensors(self, owned: list[str]) -> dict[str, Tensor]:
        specs = {spec.name: spec for spec in (*self.parameters, *self.buffers)}
        tensors: dict[str, Tensor] = {}
        for name in owned:
            spec = specs[name]
            tensors[TENSOR + name] = torch.empty(spec.shape, dtype=spec.torch_dtype, device="meta")
        self._tensors = tensors
        for spec in specs.values():
            self._place_anew(spec, tensors[TENSOR + spec.name])
        return tensors

    def _place(self, spec: TensorSpec, tensor: Tensor) -> None:
        held = self._tensors[TENSOR + spec.name]
        if held.device == tensor.device:
            held.data = tensor
        else:
            self._place_anew(spec, tensor)

    def _place_anew(self, spec: TensorSpec, tensor: Tensor) -> None:
        if spec in self.parameters:
            tensor = nn.Parameter(tensor, requires_grad=spec.trainable)
        else:
            tensor = tensor.detach()
        self._tensors[TENSOR + spec.name] = tensor
        for module, attribute in self._places.get(spec.name, ()):
            setattr(module, attribute, tensor)

    def _write_backs(self, calls: tuple[Call, ...]) -> dict[str, Callable[[], None]]:
        """Return, for modules that replace buffers, what copies the new into the bound ones."""
        return {
            call.target: lambda names=call.reassigns: self._write_back(names)  # type: ignore[misc]
            for call in calls
            if call.reassigns
        }

    def _write_back(self, names: tuple[str, ...]) -> None:
        for name in names:
            held = self._tensors[TENSOR + name]
            for module, attribute in self._places[name]:
                found = module._buffers[attribute]
                if found is not None and found is not held:
                    held.data.copy_(found.detach())
                    module._buffers[attribute] = held


def _written(graph: LayerGraph, first: int, last: int) -> tuple[tuple[str, ...], dict[str, str]]:
    writes, passes = [], {}
    for value in graph.values:
        if not value.crosses(last):
            continue
        if first <= value.made:
            writes.append(value.name_at(last))
        elif value.chained and value.read_in(first, last):
            writes.append(value.name_at(last))
            passes[value.name_at(last)] = value.name_at(first)
    if last == len(graph.layers):
        writes.append(OUTPUT)
    return tuple(writes), passes


def _copies(graph: LayerGraph, paths: set[str]) -> dict[str, nn.Module]:
    found = {path: graph.skeleton.module.get_submodule(path) for path in sorted(paths)}
    return copy.deepcopy(found)


def _flags(graph: LayerGraph, modules: dict[str, nn.Module]) -> list[tuple[nn.Module, bool, bool]]:
    flags: dict[int, tuple[nn.Module, bool, bool]] = {}
    for path, module in modules.items():
        for below, part in module.named_modules():
            whole = f"{path}.{below}".strip(".")
            in_training, in_evaluation = graph.flags.get(whole, (True, False))
            flags.setdefault(id(part), (part, in_training, in_evaluation))
    return list(flags.values())


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _hang(module: nn.Module, attribute: str, tensor: Any) -> None:
    """Set a plain attribute, in recurrent modules also in the list that their forward reads."""
    vars(module)[attribute] = tensor
    names = vars(module).get("_flat_weights_names", ())
    if attribute in names:
        module._flat_weights[names.index(attribute)] = tensor  # type: ignore[operator]


__all__ = ["INPUT", "OUTPUT", "Stage"]
