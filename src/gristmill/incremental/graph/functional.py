"""Calls that change a tensor in place, rewritten as calls that make a new one."""

from __future__ import annotations

import torch
from torch import fx


def made_functional(graph: fx.Graph) -> bool:
    """Rewrite calls in place (`relu_`, `add_`) as their twins that make a new tensor.

    Whatever reads the changed tensor later reads the new one instead.

    Returns:
        Whether that was all there is: False where a part of a tensor is changed, or the graph has
        other graphs inside. Then nothing was rewritten.
    """
    calls = [node for node in graph.nodes if node.op == "call_function"]
    if any(node.op in ("call_module", "get_attr") for node in graph.nodes):
        return False
    changing = [node for node in calls if _written(node)]
    if not all(_simple(node) for node in changing):
        return False
    for node in changing:
        _rewrite(node)
    return True


def _rewrite(node: fx.Node) -> None:
    changed, twin = node.args[0], _twin(node)
    if isinstance(changed, fx.Node) and twin is not None:
        changed.replace_all_uses_with(node, lambda user: node < user)
        node.target = twin


def _written(node: fx.Node) -> list[int]:
    """Places of the arguments that a call changes."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return []
    arguments = node.target._schema.arguments
    return [
        place
        for place, each in enumerate(arguments)
        if each.alias_info is not None and each.alias_info.is_write
    ]


def _simple(node: fx.Node) -> bool:
    """Whether a call changes a whole tensor that no other value shares memory with."""
    changed = node.args[0] if node.args else None
    if _written(node) != [0] or not isinstance(changed, fx.Node) or _twin(node) is None:
        return False
    others = (user for user in changed.users if user is not node)
    return (
        changed.op == "call_function" and not _is_view(changed) and not any(map(_is_view, others))
    )


def _is_view(node: fx.Node) -> bool:
    """Whether a call's result may share memory with an argument that it doesn't change."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return True
    schema = node.target._schema
    composite = node.target._schema.name.split("::")[1] in _MAY_SHARE
    return composite or any(
        each.alias_info is not None and not each.alias_info.is_write for each in schema.returns
    )


_MAY_SHARE = frozenset(
    {"contiguous", "reshape", "reshape_as", "flatten", "to", "type_as", "dropout", "pad"}
)
"""Calls that hand on their argument where they can, though their schemas say nothing of it."""


def _twin(node: fx.Node) -> torch._ops.OpOverload | None:
    """The operator of the same arguments that makes a new tensor."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    name = target._schema.name.split("::")[1].removesuffix("_")
    packet = getattr(torch.ops.aten, name, None)
    return getattr(packet, target._overloadname, None) if packet is not None else None
