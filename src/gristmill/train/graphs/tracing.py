"""A model traced in both modes, with some blocks called whole and others taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from gristmill.train.graphs.annotate import annotated
from gristmill.train.graphs.blocks import kind_of, with_leaves
from gristmill.train.graphs.bodies import Bodies, Body, expanded
from gristmill.train.graphs.exported import Exported, exported
from gristmill.train.graphs.program import INPUT
from gristmill.train.graphs.sizes import Condition, InputSizes, Shape
from gristmill.train.graphs.skeleton import Skeleton
from gristmill.train.graphs.traced import Traced
from gristmill.train.graphs.watch import Shadow


def traced(
    skeleton: Skeleton,
    example: tuple[Tensor, ...],
    device: str,
    blocks: frozenset[str],
    *,
    expand: bool,
) -> Traced:
    """Trace a model.

    Args:
        skeleton: the model.
        example: inputs; only shapes and dtypes matter.
        device: where it will run.
        blocks: paths of the modules to trace by themselves, once for each kind.
        expand: whether to trace them at all, or leave them whole.

    Raises:
        Exception: whatever the export or the model's code raises.
    """
    module = skeleton.module
    kinds = {path: kind_of(module.get_submodule(path)) for path in blocks}
    opaque = with_leaves(module, blocks)
    modes: dict[bool, Exported] = {}
    found: Exported | None = None
    for training in (True, False):
        if found is None or not found.modeless:
            found = exported(skeleton, example, opaque, kinds, training=training, device=device)
        shadow = Shadow(module, device)
        inputs = tuple(map(shadow.like, example))
        program = annotated(found.program, skeleton, shadow, inputs, training, kinds)
        modes[training] = replace(found, program=program)
    bodies, whole = _bodies(modes, Bodies(skeleton, kinds, device), blocks, expand)
    train, conditions = expanded(modes[True], bodies[True], skeleton)
    evaluation, others = expanded(modes[False], bodies[False], skeleton)
    checks = [
        *_conditions(modes[True], conditions),
        *_conditions(modes[False], others),
    ]
    shapes = map(_common, modes[True].shapes, modes[False].shapes)
    sizes = InputSizes({f"{INPUT}{at}": shape for at, shape in enumerate(shapes)}, checks)
    return Traced(train, evaluation, sizes, whole)


def _bodies(
    modes: Mapping[bool, Exported], bodies: Bodies, blocks: frozenset[str], expand: bool
) -> tuple[dict[bool, dict[str, Body]], dict[str, str]]:
    """Return the bodies by mode and call, and why some blocks have none in one of the modes."""
    found: dict[bool, dict[str, Body]] = {True: {}, False: {}}
    whole = {} if expand else dict.fromkeys(sorted(blocks), "the way `exported` is not wanted")
    for training, mode in modes.items():
        for name, use in mode.uses.items():
            path = use.call.target
            if path not in blocks or path in whole:
                continue
            try:
                found[training][name] = bodies.of(use, training)
            except Exception as error:
                whole[path] = str(error).strip().partition("\n")[0] or type(error).__name__
    for training, mode in modes.items():
        for name, use in mode.uses.items():
            if use.call.target in whole:
                found[training].pop(name, None)
    return found, whole


def _conditions(mode: Exported, expressions: tuple[object, ...]) -> list[Condition]:
    return [
        Condition(
            expression,
            {symbol: mode.symbols[symbol] for symbol in expression.free_symbols},  # type: ignore[attr-defined]
        )
        for expression in expressions
        if expression.free_symbols <= set(mode.symbols)  # type: ignore[attr-defined]
    ]


def _common(one: Shape, other: Shape) -> Shape:
    return tuple(a if a is not None else b for a, b in zip(one, other, strict=True))
