"""Capture: from any module to a row of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.graphs.annotate import annotated
from gristmill.train.graphs.exported import exported, leaves, with_blocks
from gristmill.train.graphs.layer_graph import LayerGraph
from gristmill.train.graphs.program import Call, Program, Ref
from gristmill.train.graphs.sequential import chain
from gristmill.train.graphs.skeleton import Skeleton
from gristmill.train.graphs.watch import Shadow

WAYS = ("sequential", "exported", "blocks", "whole")
"""Ways to capture a model, in the order in which they are tried."""
Shapes = tuple[tuple[int | None, ...] | None, ...]
Captured = tuple[Program, Program, Shapes]


@dataclass(frozen=True)
class _Model:
    skeleton: Skeleton
    example: tuple[Tensor, ...]
    device: str


def capture(
    module: nn.Module | Sequence[nn.Module],
    example: tuple[Tensor, ...],
    *,
    ways: Sequence[str] = WAYS,
    device: str = "cpu",
) -> LayerGraph:
    """Capture a model as layers that can be cut anywhere.

    Nothing is computed and no weights are copied: the model runs on tensors without data. It may
    be on the meta device, and is left as it is.

    Args:
        module: the model; a list of modules is run one after the other.
        example: model inputs, with a batch dimension first; only shapes and dtypes matter.
        ways: ways to try, in order; the first that works is taken.
        device: where the model will run. Sizes of kernels' random draws may depend on it.

    Raises:
        UsageError: an unknown way, no example, or one that is no tensor.
        TrainError: no way works. The message has the reason for each.
    """
    _check(example, ways)
    if not isinstance(module, nn.Module):
        module = nn.Sequential(*module)
    model = _Model(Skeleton(module), example, device)
    reasons: list[str] = []
    for way in ways:
        try:
            with torch.random.fork_rng(devices=[]):
                train, evaluation, shapes, why = _FRONT_ENDS[way](model)
        except Exception as error:
            reasons.append(f"{way}: {_first_line(error)}")
            continue
        reason = f"{why}; tried before: {'; '.join(reasons)}" if reasons else why
        return LayerGraph(way, reason, model.skeleton, train, evaluation, shapes)
    raise TrainError(
        f"{type(module).__name__} could not be captured. " + "; ".join(reasons),
        fix="call it with tensors only, or allow the way `whole`",
    )


def _sequential(model: _Model) -> tuple[Program, Program, Shapes, str]:
    program = chain(model.skeleton.module, len(model.example))
    train, evaluation = _both(model, lambda mode: program)  # noqa: ARG005
    for call in (*train.calls, *evaluation.calls):
        if call.packed:
            raise TrainError(f"{call.target} does not return one tensor")
    return train, evaluation, _free(model), "it is a sequence of modules"


def _exported(model: _Model) -> tuple[Program, Program, Shapes, str]:
    return *_traced(model, leaves(model.skeleton.module)), "its forward could be exported"


def _blocks(model: _Model) -> tuple[Program, Program, Shapes, str]:
    reasons = []
    for blocks in with_blocks(model.skeleton.module):
        try:
            captured = _traced(model, blocks)
        except Exception as error:
            reasons.append(_first_line(error))
            continue
        return *captured, "what lies between its blocks could be exported, the blocks stay whole"
    raise TrainError(" / ".join(dict.fromkeys(reasons)) or "it has no repeated blocks")


def _whole(model: _Model) -> tuple[Program, Program, Shapes, str]:
    inputs = tuple(Ref(f"input.{at}") for at in range(len(model.example)))
    call = Call("value 0", "", inputs, module=True)
    program = Program((call,), Ref("value 0"))
    why = "it cannot be cut"
    try:
        return *_both(model, lambda mode: program), _free(model), why  # noqa: ARG005
    except Exception:
        held = model.skeleton.held_by("")
        sure = Call(
            call.name,
            "",
            inputs,
            module=True,
            tensors=held,
            mutates=tuple(model.skeleton.buffers),
            reassigns=tuple(model.skeleton.buffers),
            varying=True,
        )
        program = Program((sure,), Ref("value 0"))
        return program, program, _free(model), why


_FRONT_ENDS: dict[str, Callable[[_Model], tuple[Program, Program, Shapes, str]]] = {
    "sequential": _sequential,
    "exported": _exported,
    "blocks": _blocks,
    "whole": _whole,
}


def _both(model: _Model, make: Callable[[bool], Program]) -> tuple[Program, Program]:
    modes = []
    for training in (True, False):
        shadow = Shadow(model.skeleton.module, model.device)
        example = tuple(shadow.like(tensor) for tensor in model.example)
        program = make(training)
        modes.append(annotated(program, model.skeleton, shadow, example, training))
    return modes[0], modes[1]


def _traced(model: _Model, opaque: frozenset[str]) -> Captured:
    shapes: dict[bool, Shapes] = {}

    def make(training: bool) -> Program:
        program, shapes[training] = exported(
            model.skeleton, model.example, opaque, training=training, device=model.device
        )
        return program

    train, evaluation = _both(model, make)
    both = zip(shapes[True], shapes[False], strict=True)
    return train, evaluation, tuple(_common(one, other) for one, other in both)


def _common(
    one: tuple[int | None, ...] | None, other: tuple[int | None, ...] | None
) -> tuple[int | None, ...] | None:
    if one is None or other is None:
        return None
    return tuple(a if a is not None else b for a, b in zip(one, other, strict=True))


def _free(model: _Model) -> Shapes:
    return (None,) * len(model.example)


def _check(example: Any, ways: Sequence[str]) -> None:
    unknown = [way for way in ways if way not in WAYS]
    if unknown or not ways:
        raise UsageError(f"ways must be among {', '.join(WAYS)}, not {list(ways)!r}")
    if not isinstance(example, tuple) or not example:
        raise UsageError(f"the example must be a tuple of tensors, not {example!r}")
    found = [
        type(item).__name__ for item in pytree.tree_leaves(example) if not torch.is_tensor(item)
    ]
    if found:
        raise UsageError(f"the example must hold tensors only, it holds {', '.join(found)}")


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text or type(error).__name__
