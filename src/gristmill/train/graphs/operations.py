"""Operations by name: what a call's target means."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from gristmill.core.errors import TrainError


def leaf(tree: Any, number: int) -> Any:
    """Return leaf `number` of a module's nested output."""
    return pytree.tree_leaves(tree)[number]


_OWN: dict[str, Callable[..., Any]] = {"leaf": leaf}
_ROOTS = {"operator": operator, "torch": torch}


def operation(target: str) -> Callable[..., Any]:
    """Return the operation called `target`: `aten.add.Tensor`, `operator.mul`, `torch.sym_max`.

    Raises:
        TrainError: what has this name cannot be called.
    """
    if target in _OWN:
        return _OWN[target]
    root, *path = target.split(".")
    found: Any = _ROOTS.get(root) or getattr(torch.ops, root)
    for part in path:
        found = getattr(found, part)
    if not callable(found):
        raise TrainError(f"{target} is no operation")
    return found  # type: ignore[no-any-return]


def operation_name(function: Callable[..., Any]) -> str:
    """Return the name that `operation` finds `function` by.

    Raises:
        TrainError: it has none.
    """
    if isinstance(function, torch._ops.OpOverload):
        return str(function)
    name = f"{(function.__module__ or '').removeprefix('_')}.{function.__name__}"
    try:
        known = operation(name) is function
    except (AttributeError, RuntimeError):
        known = False
    if not known:
        raise TrainError(f"the graph calls {name}, which cannot be called by name")
    return name
