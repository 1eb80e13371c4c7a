"""A model as a row of layers that can be cut anywhere."""

from __future__ import annotations

from dataclasses import dataclass

from gristmill.core.errors import UsageError
from gristmill.train.graphs.layout import lay_out
from gristmill.train.graphs.program import INPUT, TENSOR, Call, Program
from gristmill.train.graphs.skeleton import Skeleton
from gristmill.train.graphs.stage import Stage
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.graphs.traced import Traced
from gristmill.train.graphs.values import value_table


@dataclass(frozen=True)
class Layer:
    """The smallest part of a model that is never cut.

    Args:
        name: path of the module that it begins with.
        parameters: those that it owns: tied ones belong to the first layer that reads them.
        buffers: the same for buffers.
        draws: random draws of its forward in training mode.
    """

    name: str
    parameters: tuple[TensorSpec, ...]
    buffers: tuple[TensorSpec, ...]
    draws: int


class LayerGraph:
    """A captured model.

    Args:
        way: how it was captured: `sequential`, `exported`, `blocks` or `whole`.
        why: one sentence on why this way.
        skeleton: the model without its weights.
        inputs: how many inputs the model has.
        found: its calls in both modes.

    Attributes:
        layers: in the order of the forward.
        inputs: names of the model inputs: `input.0`, ...
        transient: names of buffers that a state dict does not list.
        sizes: which sizes of inputs it takes.
        draws: random draws of a forward in training mode.
    """

    def __init__(
        self,
        way: str,
        why: str,
        skeleton: Skeleton,
        inputs: int,
        found: Traced,
    ) -> None:
        self.way, self.why, self.skeleton = way, why, skeleton
        self.inputs = tuple(f"{INPUT}{at}" for at in range(inputs))
        self.transient = skeleton.transient
        self.sizes = found.sizes
        train = found.train
        train_layers, eval_layers, evaluation = lay_out(
            train, found.evaluation, skeleton.parameters
        )
        self._programs = {True: (train, train_layers), False: (evaluation, eval_layers)}
        tensors = {
            name: spec.trainable
            for name, spec in {**skeleton.parameters, **skeleton.buffers}.items()
        }
        self.values = value_table(self._programs.values(), tensors)
        self.flags = _flags(skeleton)
        self.hangs: dict[str, dict[str, str]] = {}
        for name, holders in skeleton.holders.items():
            for path, attribute in holders:
                self.hangs.setdefault(path, {})[attribute] = name
        self.layers = self._describe(1 + max((*train_layers, *eval_layers), default=0))
        self.draws = sum(layer.draws for layer in self.layers)

    def program(self, training: bool) -> Program:
        """Return the calls of one mode."""
        return self._programs[training][0]

    def calls(self, training: bool, first: int, last: int) -> tuple[Call, ...]:
        """Return the calls of layers [first, last) in one mode."""
        program, layers = self._programs[training]
        return tuple(
            call for call, layer in zip(program.calls, layers, strict=True) if first <= layer < last
        )

    def live(self, cut: int) -> tuple[str, ...]:
        """Return the names of the values made before layer `cut` and read at or after it.

        Model inputs are not among them: each stage that reads one gets it.

        Raises:
            UsageError: there is no such cut.
        """
        self._check_cut(cut)
        return tuple(value.name_at(cut) for value in self.values if value.crosses(cut))

    def stage(self, first: int, last: int) -> Stage:
        """Return layers [first, last) as a stage of its own, with its weights on the meta device.

        Raises:
            UsageError: there are no such layers.
        """
        self._check_cut(first)
        self._check_cut(last)
        if first >= last:
            raise UsageError(f"a stage needs at least one layer, not [{first}, {last})")
        return Stage(self, first, last)

    def _check_cut(self, cut: int) -> None:
        if not 0 <= cut <= len(self.layers):
            raise UsageError(f"cut {cut} is not within 0 to {len(self.layers)}, the model's layers")

    def _describe(self, count: int) -> tuple[Layer, ...]:
        parameters: list[list[TensorSpec]] = [[] for _ in range(count)]
        buffers: list[list[TensorSpec]] = [[] for _ in range(count)]
        for value in self.values:
            name = value.name.removeprefix(TENSOR)
            if value.name.startswith(TENSOR) and name in self.skeleton.parameters:
                parameters[value.made].append(self.skeleton.parameters[name])
            elif value.name.startswith(TENSOR):
                buffers[value.made].append(self.skeleton.buffers[name])
        names = self._names(count)
        draws = [sum(call.draws for call in self.calls(True, at, at + 1)) for at in range(count)]
        return tuple(
            Layer(names[at], tuple(parameters[at]), tuple(buffers[at]), draws[at])
            for at in range(count)
        )

    def _names(self, count: int) -> list[str]:
        names: list[str] = []
        for at in range(count):
            paths = [call.target for call in self.calls(True, at, at + 1) if call.module]
            names.append(paths[0] if paths else f"layer {at}")
        return [
            name if names.count(name) == 1 else f"{name}#{names[:at].count(name)}"
            for at, name in enumerate(names)
        ]


def _flags(skeleton: Skeleton) -> dict[str, tuple[bool, bool]]:
    """Return, by module path, whether the module trains in training and in evaluation mode."""
    module = skeleton.module
    module.train()
    in_training = {path: part.training for path, part in module.named_modules()}
    module.eval()
    in_evaluation = {path: part.training for path, part in module.named_modules()}
    module.train()
    return {path: (in_training[path], in_evaluation[path]) for path in in_training}
