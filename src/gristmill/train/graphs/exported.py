"""The general front end: `torch.export` around the parts of a model that stay whole.

A part that stays whole (a layer of `torch.nn`; a repeated block) is called by its own code, in
training and in evaluation, so its bits are those of the model by construction; the export never
looks inside. It sees one operation in its place and records what the model's forward does between
the parts: arithmetic on sizes, masks, skips. Data-dependent branches inside parts are no obstacle.
"""

from __future__ import annotations

import inspect
import logging
import operator
import sys
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.utils import _pytree as pytree

from gristmill.core.errors import TrainError
from gristmill.train.graphs.modes import ModeReads, plain_modes
from gristmill.train.graphs.operations import operation_name
from gristmill.train.graphs.parts import Arguments, Parts
from gristmill.train.graphs.program import INPUT, TENSOR, Call, Program, Ref, Size
from gristmill.train.graphs.sizes import Shape
from gristmill.train.graphs.skeleton import Skeleton
from gristmill.train.graphs.watch import Shadow

_CHECKS = ("_assert", "sym_constrain")
_TORCH = str(Path(torch.__file__).parent)
_LIBRARIES = (_TORCH, str(Path(__file__).parent))
_MODELS_OF_TORCH = str(Path(torch.__file__).parent / "nn")


@dataclass(frozen=True)
class Use:
    """A call of a part that stayed whole.

    Args:
        call: as it stands in the program.
        arguments: with gaps for tensors and sizes.
        tensors: what fills the gaps: shapes (sizes may be symbols) and dtypes.
        values: names of the values that fill the gaps; None for a tensor that is a constant.
        leaves: which leaves of its output are tensors.
    """

    call: Call
    arguments: Arguments
    tensors: tuple[tuple[tuple[Any, ...], torch.dtype], ...]
    values: tuple[str | None, ...]
    leaves: tuple[int, ...]


@dataclass(frozen=True)
class Exported:
    """A model's forward in one mode, not annotated yet.

    Args:
        program: its calls.
        shapes: which shapes of inputs it takes: None where any size does.
        symbols: of the inputs' sizes: symbol to where it is found.
        conditions: what the model's code asked of sizes, in these symbols.
        uses: calls of parts that stayed whole, by name.
        modeless: whether the other mode's is the same.
    """

    program: Program
    shapes: tuple[Shape, ...]
    symbols: Mapping[Any, tuple[tuple[str, int], ...]]
    conditions: tuple[Any, ...]
    uses: Mapping[str, Use]
    modeless: bool = False


def exported(
    skeleton: Skeleton,
    example: tuple[Tensor, ...],
    opaque: frozenset[str],
    kinds: Mapping[str, Hashable],
    *,
    training: bool,
    device: str,
    free: tuple[tuple[bool, ...], ...] | None = None,
) -> Exported:
    """Trace a model's forward in one mode.

    Args:
        skeleton: the model.
        example: inputs; only shapes and dtypes matter.
        opaque: paths of the modules that stay whole.
        kinds: of which kind they are, where there may be several of one.
        training: which mode.
        device: where the model will run.
        free: for each dimension of each input whether its size may vary; without it, all may,
            unless the model's own code fixes them.

    Raises:
        TrainError: something in the graph has no name that could be called elsewhere.
        Exception: whatever the export or the model's code raises.
    """
    errors: list[Exception] = []
    for shapes, dynamic in _ways_to_vary(example, free):
        try:
            parts = Parts(Shadow(skeleton.module, device), opaque, kinds, training)
            inputs = tuple(map(parts.shadow.like, example, shapes))
            reads = ModeReads()
            with reads.noted(parts.busy):
                graph = _export(parts, inputs, dynamic)
            found = _Converter(graph, parts, skeleton).result()
            same = not reads.seen and plain_modes(parts.shadow.module) and parts.modeless()
            return replace(found, modeless=same)
        except GuardOnDataDependentSymNode as error:
            raise TrainError(f"its forward branches on data: {_asked(error)}") from error
        except Exception as error:
            errors.append(error)
    raise errors[0]


def _ways_to_vary(
    example: tuple[Tensor, ...], free: tuple[tuple[bool, ...], ...] | None
) -> Iterator[tuple[list[tuple[int, ...]], tuple[dict[int, Any], ...]]]:
    """Yield shapes for the example and which sizes are symbols: all, those of the batch, none."""
    own = [tuple(tensor.shape) for tensor in example]
    if free is not None:
        yield (
            own,
            tuple(
                {dim: Dim.AUTO if varies else Dim.STATIC for dim, varies in enumerate(dims)}
                for dims in free
            ),
        )
        return
    # A batch of at least two: the export takes a size of one for a broadcast.
    roomy = [tuple(max(s, 2) if dim == 0 else s for dim, s in enumerate(shape)) for shape in own]
    yield roomy, tuple(dict.fromkeys(range(len(shape)), Dim.AUTO) for shape in roomy)
    yield (
        roomy,
        tuple(
            {dim: Dim.STATIC if dim else Dim.AUTO for dim in range(len(shape))} for shape in roomy
        ),
    )
    yield own, tuple(dict.fromkeys(range(len(shape)), Dim.STATIC) for shape in own)


def _asked(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _export(parts: Parts, inputs: tuple[Tensor, ...], dynamic: Any) -> ExportedProgram:
    # A failed export is no news: another way follows. It would print the graph it had come to.
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            return _run_export(parts, inputs, dynamic)
    finally:
        logging.disable(before)


def _run_export(parts: Parts, inputs: tuple[Tensor, ...], dynamic: Any) -> ExportedProgram:
    # Inputs that a forward takes as `*args` are nested in the export's eyes.
    named = inspect.signature(parts.traced.forward).bind(*dynamic).arguments
    dynamic = tuple(named.values())
    with _no_gradients_of_its_own(parts):
        return torch.export.export(parts.traced, inputs, dynamic_shapes=dynamic, strict=False)


@contextmanager
def _no_gradients_of_its_own(parts: Parts) -> Iterator[None]:
    """Refuse what an export would silently drop: backward passes that the model's code defines."""
    apply: Any = torch.autograd.Function.__dict__["apply"]
    register: Any = Tensor.register_hook
    requires_grad: Any = Tensor.requires_grad

    def refuse(function: type[torch.autograd.Function], *args: Any, **kwargs: Any) -> Any:
        if parts.inside:
            return apply.__get__(None, function)(*args, **kwargs)
        raise TrainError(f"its forward calls {function.__name__}, which has its own backward")

    def refuse_hook(tensor: Tensor, hook: Any) -> Any:
        if parts.inside:
            return register(tensor, hook)
        raise TrainError("its forward hooks the gradient of a tensor")

    def refuse_asking(tensor: Tensor) -> bool:
        # Tracing makes no gradients: whatever is computed would say that it requires none.
        if not (parts.inside or isinstance(tensor, nn.Parameter) or _asked_by_a_library()):
            raise TrainError("its forward asks whether a tensor requires a gradient")
        return bool(requires_grad.__get__(tensor))

    with (
        patch.object(torch.autograd.Function, "apply", classmethod(refuse)),
        patch.object(Tensor, "register_hook", refuse_hook),
        patch.object(Tensor, "requires_grad", property(refuse_asking, requires_grad.__set__)),
    ):
        yield


def _asked_by_a_library() -> bool:
    """Say whether torch or this package, not a model's own code, reads the attribute at hand."""
    return sys._getframe(2).f_code.co_filename.startswith(_LIBRARIES)


class _Converter:
    """Turns an exported graph into a program, and notes what it takes for granted."""

    def __init__(self, graph: ExportedProgram, parts: Parts, skeleton: Skeleton) -> None:
        self._graph, self._parts = graph, parts
        self._names = skeleton.names_everywhere()
        self._calls: list[Call] = []
        self._values: dict[str, Any] = {}
        self._dims: dict[str, list[Size]] = {}
        self._scalars: dict[str, str] = {}
        self._shapes: list[Shape] = []
        self._symbols: dict[Any, list[tuple[str, int]]] = {}
        self._environment: Any = None
        self._uses: dict[str, Use] = {}

    def result(self) -> Exported:
        inputs = {spec.arg.name: spec for spec in self._graph.graph_signature.input_specs}
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node, inputs[node.name])
        self._body(self._graph.graph_module, self._values, grad=True)
        return Exported(
            Program(tuple(self._calls), self._output(), self._sizes()),
            tuple(self._shapes),
            {symbol: tuple(places) for symbol, places in self._symbols.items()},
            tuple(self._conditions()),
            self._uses,
        )

    def _conditions(self) -> Iterator[Any]:
        """Yield what the model's code asked of sizes; kernels of torch check theirs themselves."""
        for guard in self._environment.guards if self._environment else ():
            place = getattr(guard.sloc.framework_loc, "filename", _TORCH)
            if place.startswith(_TORCH) and not place.startswith(_MODELS_OF_TORCH):
                continue
            if guard.expr.free_symbols <= set(self._symbols):
                yield guard.expr

    def _placeholder(self, node: Any, spec: Any) -> None:
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            self._values[node.name] = Ref(TENSOR + self._names[spec.target])
        elif spec.kind is InputKind.USER_INPUT:
            name = f"{INPUT}{len(self._shapes)}"
            self._values[node.name] = Ref(name)
            shape = node.meta["val"].shape
            self._shapes.append(tuple(s if isinstance(s, int) else None for s in shape))
            for dim, size in enumerate(shape):
                if isinstance(size, torch.SymInt):
                    self._dims.setdefault(str(size), []).append(Size(name, dim))
                    self._environment = size.node.shape_env
                    if size.node.expr.is_Symbol:
                        self._symbols.setdefault(size.node.expr, []).append((name, dim))
        else:
            self._values[node.name] = self._constant(spec.target)

    def _constant(self, target: str) -> Any:
        constant = self._graph.constants[target]
        if not isinstance(constant, Tensor) or isinstance(
            constant, torch._subclasses.fake_tensor.FakeTensor
        ):
            raise TrainError(f"its forward makes a constant ({target}) whose data are not known")
        return constant

    def _body(self, module: torch.fx.GraphModule, values: dict[str, Any], *, grad: bool) -> Any:
        """Convert the nodes of a graph; return its output."""
        for node in module.graph.nodes:
            if node.op == "get_attr":
                values[node.name] = getattr(module, node.target)
            elif node.op == "call_function":
                self._node(node, values, grad)
            elif node.op == "output":
                return _mapped(node.args[0], values)
        return None

    def _node(self, node: Any, values: dict[str, Any], grad: bool) -> None:
        name = str(getattr(node.target, "__name__", node.target))
        if name == "wrap_with_set_grad_enabled":
            enabled, body, *args = _mapped(node.args, values)
            if enabled and not grad:
                raise TrainError("its forward turns gradients on within a part without them")
            values[node.name] = self._inlined(body, args, grad and enabled)
        elif isinstance(node.target, torch._ops.HigherOrderOperator):
            raise TrainError(f"its forward uses {name}, which is not followed")
        elif name.startswith(_CHECKS):
            values[node.name] = None
        elif node.target is torch.ops.gristmill.part.default:
            self._part(node, values, grad)
        elif (
            node.target is operator.getitem
            and node.args[0].name in values
            and not isinstance(values[node.args[0].name], Ref)
        ):
            values[node.name] = values[node.args[0].name][node.args[1]]
        else:
            self._function(node, values, grad)

    def _inlined(self, body: torch.fx.GraphModule, args: list[Any], grad: bool) -> Any:
        holders = [node for node in body.graph.nodes if node.op == "placeholder"]
        inner = {node.name: value for node, value in zip(holders, args, strict=True)}
        return self._body(body, inner, grad=grad)

    def _function(self, node: Any, values: dict[str, Any], grad: bool) -> None:
        value = node.meta.get("val")
        if isinstance(value, (int, float, bool)):
            values[node.name] = value
            return
        scalar = isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool))
        name = self._unused_name(node.name)
        if scalar:
            self._scalars[name] = str(value)
        args, kwargs = _mapped(node.args, values), _mapped(node.kwargs, values)
        target = operation_name(node.target)
        self._calls.append(Call(name, target, args, kwargs, grad=grad, scalar=scalar))
        values[node.name] = Ref(name)
        self._note_dims(name, value)

    def _part(self, node: Any, values: dict[str, Any], grad: bool) -> None:
        """Add the call of a part that stays whole, and of what takes its output apart."""
        tensors, ints, number = _mapped(node.args, values)
        called = self._parts.calls[number]
        args, kwargs = called.arguments.filled(tensors, ints)
        name = self._unused_name(node.name)
        call = Call(name, called.path, args, kwargs, module=True, grad=grad)
        self._calls.append(call)
        given = [argument.meta["val"] for argument in node.args[0]]
        self._uses[name] = Use(
            call,
            called.arguments,
            tuple((tuple(tensor.shape), tensor.dtype) for tensor in given),
            tuple(value.name if isinstance(value, Ref) else None for value in tensors),
            tuple(called.tensor_leaves),
        )
        if called.single:
            values[node.name] = [Ref(name)]
            self._note_dims(name, node.meta["val"][0])
            return
        picked = []
        for at, leaf in enumerate(called.tensor_leaves):
            piece = f"{name}.{at}"
            self._calls.append(Call(piece, "leaf", (Ref(name), leaf), grad=grad))
            self._note_dims(piece, node.meta["val"][at])
            picked.append(Ref(piece))
        values[node.name] = picked

    def _unused_name(self, name: str) -> str:
        used = {call.name for call in self._calls}
        return name if name not in used else f"{name}'{len(self._calls)}"

    def _note_dims(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            sizes: tuple[Any, ...] = tuple(value.shape)
            for dim, size in enumerate(sizes):
                if not isinstance(size, int):
                    self._dims.setdefault(str(size), []).append(Size(name, dim))

    def _sizes(self) -> dict[str, tuple[Size, ...]]:
        """Return, for numbers that are a size of a model input, the tensors that have it too."""
        sizes = {}
        for name, expression in self._scalars.items():
            known = self._dims.get(expression, [])
            if any(size.value.startswith(INPUT) for size in known):
                inputs = [size for size in known if size.value.startswith(INPUT)]
                others = [size for size in known if not size.value.startswith(INPUT)]
                sizes[name] = (*others, *inputs)
        return sizes

    def _output(self) -> Any:
        (result,) = [node for node in self._graph.graph.nodes if node.op == "output"]
        leaves = _mapped(result.args[0], self._values)
        specs = self._graph.graph_signature.output_specs
        if any(spec.target is not None for spec in specs):
            raise TrainError("its forward replaces buffers outside the parts that stay whole")
        return pytree.tree_unflatten(list(leaves), self._graph.call_spec.out_spec)


def _mapped(tree: Any, values: dict[str, Any]) -> Any:
    return torch.fx.node.map_arg(tree, lambda node: values[node.name])
