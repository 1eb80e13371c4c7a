"""One call of an exported program, with its arguments by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx

Value: TypeAlias = "int | Tensor | None"
"""A node's number (-1 is the frame), a constant, or None for what was not looked at yet."""


class NoRuleError(Exception):
    """No rule fits a call: it becomes part of an opaque operator."""


class Call:
    """One call of an operator.

    Args:
        node: the call as exported.
        value: gives the value of another node of the program, and makes it a node of the graph
            if it must be one.
    """

    def __init__(self, node: fx.Node, value: Callable[[fx.Node], Value]) -> None:
        self.node, self._value = node, value
        self._given = _bound(node)

    def __getitem__(self, name: str) -> Any:
        """An argument as the program has it, or its default."""
        return self._given[name]

    def get(self, name: str, default: Any) -> Any:
        """An argument, or a default of one's own where the operator has none of that name."""
        return self._given.get(name, default)

    @property
    def sizes(self) -> tuple[Any, ...]:
        """Shape of the result; symbols where it depends on the frame's."""
        return sizes(self.node)

    def source(self, name: str) -> fx.Node:
        """The node that makes an argument."""
        found = self[name]
        if not isinstance(found, fx.Node):
            raise NoRuleError
        return found

    def map(self, name: str) -> int:
        """Number of the node whose value, a map, is an argument."""
        return self.number(self.source(name), (4,))

    def number(self, node: fx.Node, ranks: Sequence[int] = (2, 4)) -> int:
        """Number of the node that computes another node's value, a map or a vector."""
        shape = sizes(node)
        if len(shape) not in ranks or shape[0] != 1 or node.meta["val"].dtype != torch.float32:
            raise NoRuleError
        found = self._value(node)
        if not isinstance(found, int):
            raise NoRuleError
        return found

    def constant(self, name: str) -> Tensor:
        """An argument that is a constant tensor of float32."""
        found = self._value(self.source(name))
        if not isinstance(found, Tensor) or found.dtype != torch.float32:
            raise NoRuleError
        return found

    def optional(self, name: str) -> Tensor | None:
        """An argument that is a constant tensor or not given."""
        return None if self[name] is None else self.constant(name)

    def is_constant(self, name: str) -> bool:
        """Whether an argument is a number or a constant tensor."""
        found = self[name]
        return not isinstance(found, fx.Node) or isinstance(self._value(found), Tensor)

    def ints(self, name: str, count: int = 2) -> tuple[int, ...]:
        """Whole numbers that don't depend on the frame's size; one stands for all."""
        found = self[name]
        listed = list(found) if isinstance(found, (list, tuple)) else [found]
        if not listed or not all(type(each) is int for each in listed):
            raise NoRuleError
        listed = listed * count if len(listed) == 1 else listed
        if len(listed) != count:
            raise NoRuleError
        return tuple(listed)

    def pair(self, name: str) -> tuple[int, int]:
        """Two such numbers, for the height and the width."""
        first, second = self.ints(name)
        return first, second


def sizes(node: fx.Node) -> tuple[Any, ...]:
    """Shape of a node's value, a tensor; symbols where it depends on the frame's."""
    found = node.meta.get("val")
    if not isinstance(found, Tensor):
        raise NoRuleError
    return tuple(found.shape)


def _bound(node: fx.Node) -> dict[str, Any]:
    """Arguments by the names that the operator's schema gives them, defaults included."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return {str(place): each for place, each in enumerate(node.args)}
    names = node.target._schema.arguments
    found = {each.name: each.default_value for each in names if each.has_default_value()}
    found |= {each.name: given for each, given in zip(names, node.args, strict=False)}
    return found | dict(node.kwargs)
