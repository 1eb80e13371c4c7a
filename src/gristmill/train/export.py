"""From a trained module to a graph that is data: captured, reduced to core operators, written down.

`torch.export` records what the module does to an example whose free dimensions are symbols, its
decompositions reduce that to core ATen, and this module writes the result as `store.graph` nodes.
Nothing of the module's Python remains.
"""

from __future__ import annotations

import copy
import inspect
import math
import operator
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, ExportGraphSignature
from torch.export.graph_signature import ConstantArgument, OutputKind

from gristmill.core.errors import TrainError
from gristmill.store.graph import (
    OPERATORS,
    Arg,
    Device,
    Dtype,
    DTypeName,
    GraphSpec,
    InnerDTypeName,
    Input,
    Items,
    Layout,
    MemoryFormat,
    Node,
    Ref,
    Special,
)
from gristmill.train.decompositions import decompositions

_Name = TypeVar("_Name", bound=str)
_DTYPES: dict[torch.dtype, DTypeName] = {
    torch.bool: "bool",
    torch.int32: "int32",
    torch.int64: "int64",
    torch.float16: "float16",
    torch.float32: "float32",
    torch.float64: "float64",
}
_INNER_DTYPES: dict[torch.dtype, InnerDTypeName] = {
    **_DTYPES,
    torch.int8: "int8",
    torch.int16: "int16",
    torch.uint8: "uint8",
    torch.bfloat16: "bfloat16",
}
_ON_SIZES: dict[object, str] = {
    operator.add: "size.add",
    operator.sub: "size.sub",
    operator.mul: "size.mul",
    operator.floordiv: "size.floordiv",
    operator.mod: "size.mod",
    operator.neg: "size.neg",
    torch.sym_max: "size.max",
    torch.sym_min: "size.min",
    operator.getitem: "item.get",
}
_MEMORY_FORMATS = {
    torch.contiguous_format: MemoryFormat("contiguous_format"),
    torch.preserve_format: MemoryFormat("preserve_format"),
}
_DROPPED = "pin_memory"
_AXES = ("batch size", "length")
_FIXED = re.compile(r"size\(\)\[(\d)\].*?specialized it to be a constant \((\d+)\)", re.DOTALL)


def export_graph(
    module: nn.Module,
    example: Tensor | tuple[Tensor, ...],
    *,
    dynamic: Sequence[int] | Sequence[Sequence[int]] | None = None,
) -> tuple[GraphSpec, dict[str, NDArray[Any]]]:
    """Capture what a module does in evaluation mode.

    The module itself is left as it is: a copy on the CPU is captured. Dropout vanishes, batch
    normalisation uses its running figures.

    Args:
        module: takes tensors, returns one or several; works for any size of the free dimensions.
        example: what it takes: one tensor, or a tuple of several; every free dimension of at
            least 2.
        dynamic: the free dimensions, the same of all or of each its own; by default the rows and,
            of integers [n, length], the length.

    Returns:
        The graph, and its weights by name.

    Raises:
        TrainError: the module can't be captured, fixes a dimension that must be free, changes its
            own buffers, or needs an operator that bundles don't know.
    """
    examples = example if isinstance(example, tuple) else (example,)
    free = _free_dimensions(examples, dynamic)
    program = _capture(module, examples, free)
    return _Writer(program).write(examples, free)


def _free_dimensions(
    examples: tuple[Tensor, ...], dynamic: Sequence[int] | Sequence[Sequence[int]] | None
) -> list[tuple[int, ...]]:
    if dynamic is None:
        return [(0,) if each.dtype.is_floating_point else (0, 1) for each in examples]
    shared = tuple(axis for axis in dynamic if isinstance(axis, int))
    if len(shared) == len(dynamic):
        return [shared] * len(examples)
    return [tuple(axes) for axes in dynamic if not isinstance(axes, int)]


def _capture(
    module: nn.Module, examples: tuple[Tensor, ...], free: Sequence[tuple[int, ...]]
) -> ExportedProgram:
    for example, dynamic in zip(examples, free, strict=True):
        if any(example.shape[axis] < 2 for axis in dynamic):
            raise TrainError(
                f"expected an example of at least 2 in dimensions {list(dynamic)}, "
                f"found shape {list(example.shape)}"
            )
    twin = copy.deepcopy(module).cpu().eval()
    shapes = tuple(dict.fromkeys(each, Dim.DYNAMIC) for each in free)
    with torch.no_grad(), as_written():
        try:
            program: ExportedProgram = torch.export.export(
                twin,
                tuple(each.cpu() for each in examples),
                dynamic_shapes=_by_argument(twin, shapes),
                strict=False,
            ).run_decompositions(decompositions())
        except Exception as error:  # torch.export documents no base class for what it raises
            raise _capture_error(module, error) from error
    return program


def _by_argument(module: nn.Module, shapes: tuple[object, ...]) -> tuple[object, ...]:
    """Return the shapes as the arguments of `forward` are grouped: by itself, or all in `*args`."""
    kinds = [each.kind for each in inspect.signature(module.forward).parameters.values()]
    return (shapes,) if kinds[:1] == [inspect.Parameter.VAR_POSITIONAL] else shapes


def _capture_error(module: nn.Module, error: Exception) -> TrainError:
    text = str(error)
    kind = type(module).__name__
    fixed = _FIXED.search(text)
    if fixed:
        name = _AXES[int(fixed[1])]
        return TrainError(
            f"expected a model that works for any {name}, found one that fixes it at {fixed[2]}",
            where=kind,
            fix=f"remove loops over, and branches on, the {name} (recurrent layers loop)",
        )
    return TrainError(
        f"the model can't be captured: {type(error).__name__}: {_first_lines(text, 3)}",
        where=kind,
        fix="use tensor operations only: no branch on values, no data-dependent shape",
    )


def _first_lines(text: str, count: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:count])


@contextmanager
def as_written() -> Iterator[None]:
    """Capture attention layers op by op, and keep torch.export's notes to its authors quiet."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Writer:
    """Writes one exported program as a graph; only what the result depends on."""

    def __init__(self, program: ExportedProgram) -> None:
        signature = program.graph_signature
        if signature.buffers_to_mutate:
            changed = ", ".join(signature.buffers_to_mutate.values())
            raise TrainError(f"the model changes its own buffers in evaluation mode: {changed}")
        self.inputs = [str(each) for each in signature.user_inputs]
        self.outputs = _results(signature)
        self.nodes = {node.name: node for node in program.graph.nodes}
        self.tensors = _tensors(program)

    def write(
        self, examples: tuple[Tensor, ...], free: Sequence[tuple[int, ...]]
    ) -> tuple[GraphSpec, dict[str, NDArray[Any]]]:
        """Return the graph and the weights that it uses."""
        live = _live(self.nodes[each] for each in self.outputs)
        weights = {
            name: _to_numpy(name, tensor)
            for placeholder, (name, tensor) in self.tensors.items()
            if self.nodes[placeholder] in live
        }
        nodes = [
            self._node(node)
            for node in self.nodes.values()
            if node in live and node.op == "call_function"
        ]
        graph = GraphSpec(
            inputs=[
                _input(name, example, dynamic)
                for name, example, dynamic in zip(self.inputs, examples, free, strict=True)
            ],
            weights=list(weights),
            nodes=nodes,
            outputs=[self._ref(self.nodes[each]).name for each in self.outputs],
        )
        graph.check()
        return graph, weights

    def _node(self, node: fx.Node) -> Node:
        op = _ON_SIZES.get(node.target) or str(node.target)
        if isinstance(node.target, torch._ops.OpOverload):
            op = str(node.target)
        if op not in OPERATORS:
            raise TrainError(
                f"operator {op!r} can't be part of a bundle",
                where=_place(node),
                fix="use operators of gristmill.store.graph.OPERATORS instead",
            )
        where = f"{_place(node)}, operator {op}"
        return Node(
            name=f"%{node.name}",
            op=op,
            args=[self._arg(arg, where) for arg in node.args],
            kwargs={
                key: self._arg(arg, where) for key, arg in node.kwargs.items() if key != _DROPPED
            },
        )

    def _ref(self, node: fx.Node) -> Ref:
        # Weights keep their own names; the sign keeps all others apart from them.
        return Ref(self.tensors[node.name][0] if node.name in self.tensors else f"%{node.name}")

    def _arg(self, value: object, where: str) -> Arg:
        match value:
            case fx.Node():
                return self._ref(value)
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else _special(value)
            case list() | tuple():
                return Items([self._arg(item, where) for item in value])
            case torch.dtype():
                return Dtype(_one_of(_INNER_DTYPES, value, where))
            case torch.device():
                return Device()
            case torch.layout() if value is torch.strided:
                return Layout()
            case torch.memory_format() if value in _MEMORY_FORMATS:
                return _MEMORY_FORMATS[value]
        raise TrainError(f"an argument {value!r} can't be part of a bundle", where=where)


def _input(name: str, example: Tensor, dynamic: tuple[int, ...]) -> Input:
    shape = [None if axis in dynamic else size for axis, size in enumerate(example.shape)]
    return Input(f"%{name}", _one_of(_DTYPES, example.dtype, "the example"), shape)


def _results(signature: ExportGraphSignature) -> list[str]:
    """Return the names of the tensors among the results; None among them is left out."""
    found = [each.arg for each in signature.output_specs if each.kind is OutputKind.USER_OUTPUT]
    for each in found:
        if isinstance(each, ConstantArgument) and each.value is not None:
            raise TrainError(
                f"expected a model that returns tensors, found {each.value!r} among its results"
            )
    names = [each.name for each in found if not isinstance(each, ConstantArgument)]
    if not names:
        raise TrainError("expected a model that returns tensors, found None")
    return names


def _live(outputs: Iterable[fx.Node]) -> set[fx.Node]:
    """Return the nodes that outputs depend on; every operator is pure, so no other matters."""
    live: set[fx.Node] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in live:
            live.add(node)
            waiting.extend(node.all_input_nodes)
    return live


def _tensors(program: ExportedProgram) -> dict[str, tuple[str, Tensor]]:
    """Return, for each placeholder that is not the input, the name and value of its tensor."""
    signature = program.graph_signature
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    values = cast("Mapping[str, Tensor]", {**program.constants, **program.state_dict})
    return {placeholder: (name, values[name]) for placeholder, name in names.items()}


def _to_numpy(name: str, tensor: Tensor) -> NDArray[Any]:
    _one_of(_DTYPES, tensor.dtype, f"weight {name!r}")
    # A copy: the bundle must not change when training goes on.
    return np.array(tensor.detach().cpu().numpy())


def _one_of(names: Mapping[torch.dtype, _Name], dtype: torch.dtype, where: str) -> _Name:
    if dtype not in names:
        raise TrainError(
            f"expected a dtype of {', '.join(names.values())}, found {dtype}", where=where
        )
    return names[dtype]


def _special(value: float) -> Special:
    if math.isnan(value):
        return Special("nan")
    return Special("inf" if value > 0 else "-inf")


def _place(node: fx.Node) -> str:
    """Name the innermost layer that a node comes from, as `blocks.0.attention (Attention)`."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    if not stack:
        return f"node {node.name}"
    path, kind = stack[-1]
    short = str(kind).rsplit(".", 1)[-1].strip("'>")
    return f"layer {path} ({short})" if path else f"model ({short})"
