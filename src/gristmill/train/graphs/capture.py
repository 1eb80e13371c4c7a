"""Capture: from any module to a row of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.graphs.annotate import annotated
from gristmill.train.graphs.blocks import ever_coarser, twins
from gristmill.train.graphs.layer_graph import LayerGraph
from gristmill.train.graphs.program import Call, Program, Ref
from gristmill.train.graphs.sequential import chain
from gristmill.train.graphs.sizes import InputSizes
from gristmill.train.graphs.skeleton import Skeleton
from gristmill.train.graphs.traced import Traced
from gristmill.train.graphs.tracing import traced
from gristmill.train.graphs.watch import Shadow

WAYS = ("sequential", "exported", "blocks", "whole")
"""Ways to capture a model, in the order in which they are tried."""


@dataclass
class _Model:
    skeleton: Skeleton
    example: tuple[Tensor, ...]
    device: str
    ways: Sequence[str]
    _traced: dict[tuple[frozenset[str], bool], Traced | Exception] = field(default_factory=dict)

    def traced(self, blocks: frozenset[str], *, expand: bool) -> Traced:
        """Trace the model; the second way that wants the same gets what the first one got."""
        key = blocks, expand
        if key not in self._traced:
            try:
                self._traced[key] = traced(
                    self.skeleton, self.example, self.device, blocks, expand=expand
                )
            except Exception as error:
                self._traced[key] = error
        found = self._traced[key]
        if isinstance(found, Exception):
            raise found
        return found


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

    The ways, from the finest to the coarsest:

        sequential   an `nn.Sequential`: its modules are the layers
        exported     the forward is traced by `torch.export`, repeated blocks once for each kind
        blocks       as exported, but blocks that cannot be (their code branches on data, say)
                     stay whole; without `exported` among the ways, all blocks do
        whole        the model is one layer

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
    model = _Model(Skeleton(module), example, device, ways)
    reasons: list[str] = []
    for way in ways:
        try:
            with torch.random.fork_rng(devices=[]):
                found, why = _FRONT_ENDS[way](model)
        except Exception as error:
            reasons.append(f"{way}: {_first_line(error)}")
            continue
        # What kept a way from being taken is often what the next one had to get around.
        others = [each for each in reasons if each.partition(": ")[2] not in why]
        reason = f"{why}; tried before: {'; '.join(others)}" if others else why
        return LayerGraph(way, reason, model.skeleton, len(example), found)
    raise TrainError(
        f"{type(module).__name__} could not be captured. " + "; ".join(reasons),
        fix="call it with tensors only, or allow the way `whole`",
    )


def _sequential(model: _Model) -> tuple[Traced, str]:
    found = _annotated(model, chain(model.skeleton.module, len(model.example)))
    for call in (*found.train.calls, *found.evaluation.calls):
        if call.packed:
            raise TrainError(f"{call.target} does not return one tensor")
    return found, "it is a sequence of modules"


def _exported(model: _Model) -> tuple[Traced, str]:
    found = model.traced(twins(model.skeleton.module), expand=True)
    if found.whole:
        raise TrainError(_reasons(found))
    return found, "its forward could be exported"


def _blocks(model: _Model) -> tuple[Traced, str]:
    module = model.skeleton.module
    reasons = []
    for blocks in dict.fromkeys((twins(module), *ever_coarser(module))):
        if not blocks:
            continue
        try:
            found = model.traced(blocks, expand="exported" in model.ways)
        except Exception as error:
            reasons.append(_first_line(error))
            continue
        return found, f"its forward could be exported but for blocks ({_reasons(found)})"
    raise TrainError(" / ".join(dict.fromkeys(reasons)) or "it has no blocks")


def _reasons(found: Traced) -> str:
    by_reason: dict[str, list[str]] = {}
    for path, reason in found.whole.items():
        by_reason.setdefault(reason, []).append(path)
    return "; ".join(f"{', '.join(paths)}: {reason}" for reason, paths in by_reason.items())


def _whole(model: _Model) -> tuple[Traced, str]:
    inputs = tuple(Ref(f"input.{at}") for at in range(len(model.example)))
    call = Call("value 0", "", inputs, module=True)
    why = "it cannot be cut"
    try:
        return _annotated(model, Program((call,), Ref(call.name))), why
    except Exception:
        # It does not even run on tensors without data: suppose that it does all it may.
        buffers = tuple(model.skeleton.buffers)
        call = Call(
            call.name,
            "",
            inputs,
            module=True,
            tensors=model.skeleton.held_by(""),
            mutates=buffers,
            reassigns=buffers,
            varying=True,
            asks=True,
        )
        program = Program((call,), Ref(call.name))
        return Traced(program, program, InputSizes(), {}), why


_FRONT_ENDS: dict[str, Callable[[_Model], tuple[Traced, str]]] = {
    "sequential": _sequential,
    "exported": _exported,
    "blocks": _blocks,
    "whole": _whole,
}


def _annotated(model: _Model, program: Program) -> Traced:
    modes = []
    for training in (True, False):
        shadow = Shadow(model.skeleton.module, model.device)
        example = tuple(map(shadow.like, model.example))
        modes.append(annotated(program, model.skeleton, shadow, example, training))
    return Traced(modes[0], modes[1], InputSizes(), {})


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
