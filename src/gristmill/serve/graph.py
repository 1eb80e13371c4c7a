"""Runs a captured graph: operators are looked up in a list; no Python is ever built from it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import BundleError, ServeError
from gristmill.store.graph import (
    OPERATORS,
    Arg,
    Device,
    Dtype,
    GraphSpec,
    Input,
    Items,
    Layout,
    MemoryFormat,
    Node,
    Ref,
    Special,
    references,
)

Values: TypeAlias = list[Any]
Source: TypeAlias = Callable[[Values], Any]
"""Takes the values computed so far and returns an argument."""

_ON_SIZES: dict[str, Callable[..., Any]] = {
    "size.add": operator.add,
    "size.sub": operator.sub,
    "size.mul": operator.mul,
    "size.floordiv": operator.floordiv,
    "size.mod": operator.mod,
    "size.neg": operator.neg,
    "size.max": max,
    "size.min": min,
    "item.get": operator.getitem,
}
_DTYPES = {
    "bool": torch.bool,
    "int32": torch.int32,
    "int64": torch.int64,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
}
_MEMORY_FORMATS = {
    "contiguous_format": torch.contiguous_format,
    "preserve_format": torch.preserve_format,
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One node, made ready: constants in place, the rest filled in from slots on each run."""

    name: str
    call: Callable[..., Any]
    args: list[Any]
    arg_sources: list[tuple[int, Source]]
    kwargs: dict[str, Any]
    kwarg_sources: list[tuple[str, Source]]
    slot: int
    freed: list[int]

    def run(self, values: Values) -> None:
        args = self.args.copy()
        for position, source in self.arg_sources:
            args[position] = source(values)
        kwargs = self.kwargs
        if self.kwarg_sources:
            kwargs = kwargs | {key: source(values) for key, source in self.kwarg_sources}
        values[self.slot] = self.call(*args, **kwargs)
        for slot in self.freed:
            values[slot] = None


class Graph:
    """A captured model, ready to run; safe to call from several threads at once.

    Args:
        spec: the graph.
        weights: every tensor that it names, by name.
        device: where the weights are kept and the work is done.

    Raises:
        BundleError: the graph breaks the rules of `GraphSpec.check`, or weights are missing.
    """

    def __init__(
        self, spec: GraphSpec, weights: Mapping[str, NDArray[Any]], *, device: str = "cpu"
    ) -> None:
        spec.check()
        missing = [name for name in spec.weights if name not in weights]
        if missing:
            raise BundleError(f"expected a weight {missing[0]!r}, found none", where="graph")
        self.spec = spec
        self.device = torch.device(device)
        names = [
            *(given.name for given in spec.inputs),
            *spec.weights,
            *(node.name for node in spec.nodes),
        ]
        slots = {name: slot for slot, name in enumerate(names)}
        # A copy: arrays that come out of a file are read-only, which PyTorch doesn't know of.
        tensors = [torch.tensor(weights[name], device=self.device) for name in spec.weights]
        self._start: Values = [None] * len(spec.inputs) + tensors + [None] * len(spec.nodes)
        self._steps = self._compile(slots)
        self._outputs = [slots[name] for name in spec.outputs]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the graph.

        Args:
            inputs: one tensor for each of `spec.inputs`, of its dtype and shape.

        Returns:
            One tensor for each of `spec.outputs`.

        Raises:
            ServeError: an input doesn't fit, or an operator can't be computed; names the node.
        """
        _check_inputs(self.spec.inputs, inputs)
        values = self._start.copy()
        with torch.inference_mode():
            values[: len(inputs)] = [tensor.to(self.device) for tensor in inputs]
            for step in self._steps:
                try:
                    step.run(values)
                except (RuntimeError, IndexError, TypeError, ValueError) as error:
                    raise ServeError(f"{error}", where=f"graph, node {step.name!r}") from error
        return tuple(values[slot] for slot in self._outputs)

    def _compile(self, slots: Mapping[str, int]) -> list[_Step]:
        last = {name: node.name for node in self.spec.nodes for name in references(node)}
        kept = {*self.spec.outputs, *self.spec.weights}
        dying: dict[str, list[int]] = {}
        for name, node_name in last.items():
            if name not in kept:
                dying.setdefault(node_name, []).append(slots[name])
        return [self._step(node, slots, dying.get(node.name, [])) for node in self.spec.nodes]

    def _step(self, node: Node, slots: Mapping[str, int], freed: list[int]) -> _Step:
        args = [self._ready(arg, slots) for arg in node.args]
        kwargs = {key: self._ready(arg, slots) for key, arg in node.kwargs.items()}
        return _Step(
            name=node.name,
            call=_operator(node.op),
            args=[constant for constant, _ in args],
            arg_sources=[(at, source) for at, (_, source) in enumerate(args) if source],
            kwargs={key: constant for key, (constant, source) in kwargs.items() if not source},
            kwarg_sources=[(key, source) for key, (_, source) in kwargs.items() if source],
            slot=slots[node.name],
            freed=freed,
        )

    def _ready(self, arg: Arg, slots: Mapping[str, int]) -> tuple[Any, Source | None]:
        """Return an argument as a constant, or as where to take it from."""
        match arg:
            case Ref():
                return None, operator.itemgetter(slots[arg.name])
            case Items():
                return _ready_list([self._ready(item, slots) for item in arg.items])
            case Device():
                return self.device, None
            case _:
                return _constant(arg), None


def _ready_list(items: Sequence[tuple[Any, Source | None]]) -> tuple[Any, Source | None]:
    constants = [constant for constant, _ in items]
    sources = [(at, source) for at, (_, source) in enumerate(items) if source]
    if not sources:
        return constants, None

    def filled(values: Values) -> list[Any]:
        result = constants.copy()
        for position, source in sources:
            result[position] = source(values)
        return result

    return None, filled


def _constant(arg: Arg) -> Any:
    match arg:
        case Special():
            return float(arg.value)
        case Dtype():
            return _DTYPES[arg.name]
        case Layout():
            return torch.strided
        case MemoryFormat():
            return _MEMORY_FORMATS[arg.name]
        case _:
            return arg


def _operator(name: str) -> Callable[..., Any]:
    """Look an operator up: in the list first, and only then in PyTorch."""
    if name not in OPERATORS:
        raise BundleError(f"operator {name!r} is not on the list", where="graph")
    if name in _ON_SIZES:
        return _ON_SIZES[name]
    _, packet, overload = name.split(".")
    found: Callable[..., Any] = getattr(getattr(torch.ops.aten, packet), overload)
    return found


def _check_inputs(expected: Sequence[Input], found: Sequence[Tensor]) -> None:
    if len(expected) != len(found):
        raise ServeError(f"expected {len(expected)} inputs, found {len(found)}")
    for given, tensor in zip(expected, found, strict=True):
        same = len(given.shape) == tensor.dim() and all(
            size in (None, actual) for size, actual in zip(given.shape, tensor.shape, strict=True)
        )
        if not same or tensor.dtype != _DTYPES[given.dtype]:
            shape = ", ".join("any" if size is None else str(size) for size in given.shape)
            raise ServeError(
                f"expected {given.dtype}[{shape}], "
                f"found {str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}",
                where=f"input {given.name!r}",
            )
