"""Activations that write over what they read, where nothing else ever reads it.

A layer's values are as large as what it is given; new memory for each step of a batch costs a page
fault every 4 KiB, in a small model more than its arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from gristmill.store.graph import GraphSpec, Node, Ref, references

_FRESH = frozenset(
    f"aten.{name}.default" for name in ("addmm", "bmm", "convolution", "linear", "mm")
)
"""Their results are memory of their own, never a view of something else."""
_OVERWRITING: dict[str, Callable[..., Any]] = {
    "aten.elu.default": functional.elu_,
    "aten.hardtanh.default": functional.hardtanh_,
    "aten.leaky_relu.default": functional.leaky_relu_,
    "aten.relu.default": torch.relu_,
}
"""Their results have the type of what they read, whichever that is."""


def overwriting_calls(spec: GraphSpec) -> dict[str, Callable[..., Any]]:
    """Return, by the name of a node, what gives the same bits in place.

    A node is among them if it reads what a layer has just made, and is the only one that does.
    """
    made_by = {node.name: node.op for node in spec.nodes}
    uses = Counter(name for node in spec.nodes for name in references(node))
    uses.update(spec.outputs)

    def overwrites(node: Node) -> bool:
        read = node.args[0] if node.args else None
        return (
            node.op in _OVERWRITING
            and isinstance(read, Ref)
            and uses[read.name] == 1
            and made_by.get(read.name) in _FRESH
        )

    return {node.name: _OVERWRITING[node.op] for node in spec.nodes if overwrites(node)}
