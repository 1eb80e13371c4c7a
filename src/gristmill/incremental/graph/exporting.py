"""A module's evaluation as a flat list of operators, by `torch.export`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.functional import made_functional

_TALKATIVE = ("torch.fx.experimental.symbolic_shapes", "torch._subclasses.fake_tensor")


class Exported(NamedTuple):
    """What a module does to a frame.

    Args:
        nodes: calls in the order in which they run; heights and widths are symbols where possible.
        frame: the node that stands for the frame.
        constants: parameters and buffers by the node that stands for them.
        outputs: nodes that are returned.
        takes: whether frames of a height and width run these very calls; None if only the
            example's do.
    """

    nodes: tuple[fx.Node, ...]
    frame: fx.Node
    constants: Mapping[fx.Node, Tensor]
    outputs: tuple[fx.Node, ...]
    takes: Callable[[int, int], bool] | None


def exported(module: nn.Module, example: Tensor, any_size: bool = True) -> Exported:
    """Trace a module in evaluation mode; its own mode is put back.

    Args:
        module: takes one frame.
        example: [1, channels, height, width].
        any_size: whether its height and width stay free where the module lets them. Where the
            export can't tell of which sizes its conditions hold, they do not.

    Raises:
        UsageError: the module can't be traced, or doesn't return tensors.
    """
    with _in_evaluation(module), torch.no_grad(), warnings.catch_warnings(), _silently():
        warnings.simplefilter("ignore")
        try:
            program = _traced(module, example, any_size)
        except Exception as error:  # torch.export documents no base class for what it raises
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"the model can't be captured: {type(error).__name__}: {reason}",
                where=type(module).__name__,
                fix="make sure that it runs on the example, and branches on no tensor's values",
            ) from error
    return _read(program, type(module).__name__)


def _traced(module: nn.Module, example: Tensor, any_size: bool) -> ExportedProgram:
    free = ({2: Dim.AUTO, 3: Dim.AUTO},) if any_size else None
    frame = example.clone()  # an export that fails leaves its marks on the tensor
    try:
        program = torch.export.export(module, (frame,), dynamic_shapes=free, strict=False)
        # The export's own way to do without changes in place takes many times as long.
        return program if made_functional(program.graph) else program.run_decompositions({})
    except NotImplementedError:  # SymPy, of inequalities that it can't solve
        if not any_size:
            raise
    return _traced(module, example, any_size=False)


def _read(program: ExportedProgram, kind: str) -> Exported:
    signature = program.graph_signature
    nodes = {node.name: node for node in program.graph.nodes}
    if signature.buffers_to_mutate:
        changed = ", ".join(signature.buffers_to_mutate.values())
        raise UsageError(
            f"the model changes its own buffers in evaluation mode: {changed}", where=kind
        )
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    values: dict[str, Any] = {**program.constants, **program.state_dict}
    frame = nodes[str(signature.user_inputs[0])]
    (returned,) = (node for node in nodes.values() if node.op == "output")
    count = len(signature.user_outputs)
    results = list(returned.args[0])[-count:] if count else []
    outputs = [each for each in results if each is not None]  # as a head that is not asked for
    inside = [node for node in nodes.values() if node.op in ("call_module", "get_attr")]
    if inside:
        raise UsageError(
            f"the model has control flow that depends on data ({inside[0].name})", where=kind
        )
    if not all(map(_is_tensor, outputs)) or not outputs:
        raise UsageError(
            "expected a model that returns tensors, alone or in lists and dicts", where=kind
        )
    return Exported(
        tuple(program.graph.nodes),
        frame,
        {nodes[placed]: values[name].detach().clone() for placed, name in names.items()},
        tuple(outputs),
        _sizes(frame),
    )


def _is_tensor(result: object) -> bool:
    return isinstance(result, fx.Node) and isinstance(result.meta["val"], Tensor)


def _sizes(frame: fx.Node) -> Callable[[int, int], bool] | None:
    """What the trace took for granted of the frame's height and width."""
    axes = [
        axis.node.expr for axis in frame.meta["val"].shape[2:] if isinstance(axis, torch.SymInt)
    ]
    if len(axes) != 2 or not all(axis.is_Symbol for axis in axes):
        return None
    guards = [guard.expr for guard in frame.meta["val"].fake_mode.shape_env.guards]
    return _Sizes(axes, guards)


class _Sizes:
    """Says whether a height and width keep to the conditions that a trace met.

    Args:
        axes: the symbols of the height and the width.
        conditions: what was found true of the example's, as expressions of SymPy.
    """

    def __init__(self, axes: Sequence[Any], conditions: Sequence[Any]) -> None:
        self._axes, self._conditions = axes, conditions

    def __call__(self, height: int, width: int) -> bool:
        values = dict(zip(self._axes, (height, width), strict=True))
        found = [condition.subs(values) for condition in self._conditions]
        return all(not each.free_symbols and bool(each) for each in found)


@contextmanager
def _silently() -> Iterator[None]:
    """Keep the export from logging, traceback and all, what it could not solve or run.

    What ends it is raised, too.
    """
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


@contextmanager
def _in_evaluation(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
