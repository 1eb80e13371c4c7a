"""Runs a captured graph: operators are looked up in a list; no Python is ever built from it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import BundleError, ServeError
from gristmill.serve.runners.bindings import binding, numbers_of
from gristmill.serve.runners.in_place import overwriting_calls
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
DTYPES = {
    "bool": torch.bool,
    "int32": torch.int32,
    "int64": torch.int64,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
}
_DTYPES_WITHIN = DTYPES | {
    "int8": torch.int8,
    "int16": torch.int16,
    "uint8": torch.uint8,
    "bfloat16": torch.bfloat16,
}
_MEMORY_FORMATS = {
    "contiguous_format": torch.contiguous_format,
    "preserve_format": torch.preserve_format,
}

_FEW_STEPS = 8


class _Step(NamedTuple):
    """One call, made ready: constants lie in slots like everything else, so it only gathers."""

    call: Callable[..., Any]
    gather: Callable[[Values], Sequence[Any]]
    slot: int
    freed: tuple[int, ...]
    node: str


class _Given(NamedTuple):
    """What an input must be: element type, number of dimensions, and the fixed ones by axis."""

    dtype: torch.dtype
    dimensions: int
    fixed: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, given: Input) -> _Given:
        fixed = ((axis, size) for axis, size in enumerate(given.shape) if size is not None)
        return cls(DTYPES[given.dtype], len(given.shape), tuple(fixed))


class Graph:
    """A captured model, ready to run; safe to call from several threads at once.

    Args:
        spec: the graph.
        weights: every tensor that it names, by name; a writable array is used as it is.
        device: where the weights are kept and the work is done.

    Attributes:
        spec: the graph.
        weights: its weights as tensors.

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
        self.weights = {name: _tensor(weights[name]).to(self.device) for name in spec.weights}
        self._start: Values = [None] * len(spec.inputs) + list(self.weights.values())
        names = [*(given.name for given in spec.inputs), *spec.weights]
        self._slots = {name: slot for slot, name in enumerate(names)}
        self._numbers = numbers_of(spec.nodes)
        self._in_place = overwriting_calls(spec)
        self._steps = [step for node in spec.nodes for step in self._compile(node)]
        self._free()
        self._outputs = [self._slots[name] for name in spec.outputs]
        self._given = [_Given.of(given) for given in spec.inputs]
        self._elsewhere = self.device.type != "cpu"
        # No weight asks for gradients; in a short graph the mode costs more than it saves.
        self._is_short = len(self._steps) <= _FEW_STEPS

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the graph.

        Args:
            inputs: one tensor for each of `spec.inputs`, of its dtype and shape.

        Returns:
            One tensor for each of `spec.outputs`.

        Raises:
            ServeError: an input doesn't fit, or an operator can't be computed; names the node.
        """
        if not self._fit(inputs):
            check_inputs(self.spec.inputs, inputs)
        values = self._start.copy()
        if self._elsewhere:
            inputs = tuple(tensor.to(self.device) for tensor in inputs)
        values[: len(inputs)] = inputs
        if self._is_short:
            self._run(values)
        else:
            with torch.inference_mode():
                self._run(values)
        return tuple([values[slot] for slot in self._outputs])

    def _run(self, values: Values) -> None:
        """Take all steps, each of which fills a slot."""
        node = ""
        try:
            for call, gather, slot, freed, node in self._steps:  # noqa: B007
                values[slot] = call(*gather(values))
                for dead in freed:
                    values[dead] = None
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise ServeError(f"{error}", where=f"graph, node {node!r}") from error

    def _fit(self, inputs: Sequence[Tensor]) -> bool:
        """Say whether inputs are those that the graph is given: the quick way to `check_inputs`."""
        if len(inputs) != len(self._given):
            return False
        for (dtype, dimensions, fixed), tensor in zip(self._given, inputs, strict=False):
            shape = tensor.shape
            if tensor.dtype is not dtype or len(shape) != dimensions:
                return False
            for axis, size in fixed:
                if shape[axis] != size:
                    return False
        return True

    def _compile(self, node: Node) -> Iterator[_Step]:
        """Yield the call of a node, after those that gather the lists among its arguments."""
        sources = []
        for arg in [*node.args, *node.kwargs.values()]:
            if isinstance(arg, Items) and any(isinstance(item, Ref) for item in arg.items):
                sources.append(self._add(None))
                gather = _gather([self._source(item) for item in arg.items])
                yield _Step(_listed, gather, sources[-1], (), node.name)
            else:
                sources.append(self._source(arg))
        call = call_of(node, self._numbers, self._in_place.get(node.name))
        self._slots[node.name] = self._add(None)
        yield _Step(call, _gather(sources), self._slots[node.name], (), node.name)

    def _source(self, arg: Arg) -> int:
        """Return the slot where an argument lies; a constant is given one."""
        if isinstance(arg, Ref):
            return self._slots[arg.name]
        return self._add(constant(arg, self.device))

    def _add(self, value: Any) -> int:
        self._start.append(value)
        return len(self._start) - 1

    def _free(self) -> None:
        """Let each step drop the values that no later one reads: a large model needs the room."""
        last = {name: node.name for node in self.spec.nodes for name in references(node)}
        kept = {*self.spec.outputs, *self.spec.weights}
        dying: dict[str, list[int]] = {}
        for name, node_name in last.items():
            if name not in kept:
                dying.setdefault(node_name, []).append(self._slots[name])
        for at, step in enumerate(self._steps):
            if step.slot == self._slots[step.node] and step.node in dying:
                self._steps[at] = step._replace(freed=tuple(dying[step.node]))


def _tensor(array: NDArray[Any]) -> Tensor:
    # PyTorch doesn't know of read-only memory, and would write to a file that is mapped.
    return torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)


def _gather(slots: Sequence[int]) -> Callable[[Values], Sequence[Any]]:
    if len(slots) == 1:
        return operator.itemgetter(slice(slots[0], slots[0] + 1))
    return operator.itemgetter(*slots) if slots else _nothing


def _nothing(_: Values) -> Sequence[Any]:
    return ()


def _listed(*items: Any) -> list[Any]:
    return list(items)


def _with_keywords(
    call: Callable[..., Any], positional: int, keys: tuple[str, ...]
) -> Callable[..., Any]:
    """Return the call with its last arguments given by name."""

    def called(*values: Any) -> Any:
        return call(*values[:positional], **dict(zip(keys, values[positional:], strict=True)))

    return called


def constant(arg: Arg, device: torch.device) -> Any:
    """Return an argument that refers to no value as what PyTorch takes."""
    match arg:
        case Items():
            return [constant(item, device) for item in arg.items]
        case Device():
            return device
        case Special():
            return float(arg.value)
        case Dtype():
            return _DTYPES_WITHIN[arg.name]
        case Layout():
            return torch.strided
        case MemoryFormat():
            return _MEMORY_FORMATS[arg.name]
        case _:
            return arg


def arguments_of(
    node: Node, values: Mapping[str, Any], device: torch.device
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that a node is called with, by position and by name.

    Args:
        node: of a graph.
        values: of the nodes before it, by name.
        device: where it is computed.
    """
    args = [_argument(arg, values, device) for arg in node.args]
    return args, {name: _argument(arg, values, device) for name, arg in node.kwargs.items()}


def _argument(arg: Arg, values: Mapping[str, Any], device: torch.device) -> Any:
    match arg:
        case Ref():
            return values[arg.name]
        case Items():
            return [_argument(item, values, device) for item in arg.items]
        case _:
            return constant(arg, device)


def call_of(
    node: Node, numbers: Collection[str], in_place: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Return what computes a node of its arguments and then those by name, all by position.

    Args:
        node: the node.
        numbers: names of values that are numbers (`bindings.numbers_of`).
        in_place: what may be called in its stead (`in_place.overwriting_calls`).
    """
    call = operator_called(node.op)
    call = in_place or binding(node, numbers) or call
    return _with_keywords(call, len(node.args), tuple(node.kwargs)) if node.kwargs else call


def operator_called(name: str) -> Callable[..., Any]:
    """Look an operator up: in the list first, and only then in PyTorch.

    Raises:
        BundleError: it is not on the list.
    """
    if name not in OPERATORS:
        raise BundleError(f"operator {name!r} is not on the list", where="graph")
    if name in _ON_SIZES:
        return _ON_SIZES[name]
    _, packet, overload = name.split(".")
    found: Callable[..., Any] = getattr(getattr(torch.ops.aten, packet), overload)
    return found


def check_inputs(expected: Sequence[Input], found: Sequence[Tensor]) -> None:
    """Make sure that tensors are those that a graph is given.

    Raises:
        ServeError: their number, a dtype or a shape is another one.
    """
    if len(expected) != len(found):
        raise ServeError(f"expected {len(expected)} inputs, found {len(found)}")
    for given, tensor in zip(expected, found, strict=True):
        if tensor.dtype is not DTYPES[given.dtype] or not _fits(given.shape, tensor.shape):
            shape = ", ".join("any" if size is None else str(size) for size in given.shape)
            raise ServeError(
                f"expected {given.dtype}[{shape}], "
                f"found {str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}",
                where=f"input {given.name!r}",
            )


def _fits(expected: Sequence[int | None], found: Sequence[int]) -> bool:
    if len(expected) != len(found):
        return False
    for size, actual in zip(expected, found, strict=True):
        if size is not None and size != actual:
            return False
    return True
