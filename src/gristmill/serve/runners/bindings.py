"""Operators by the short way into PyTorch: the same kernels, a few microseconds sooner.

`torch.ops.aten` reads the arguments of every call against a schema; the functions of `torch` were
compiled for theirs. Those below take the same arguments in the same order, and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch.nn import functional

from gristmill.store.graph import Arg, Items, Node, Ref

BINDINGS: dict[str, Callable[..., Any]] = {
    "aten._softmax.default": torch._softmax,
    "aten.add.Tensor": torch.add,
    "aten.addmm.default": torch.addmm,
    "aten.bmm.default": torch.bmm,
    "aten.cat.default": torch.cat,
    "aten.convolution.default": torch.convolution,
    "aten.div.Tensor": torch.div,
    "aten.embedding.default": torch.embedding,
    "aten.gelu.default": functional.gelu,
    "aten.linear.default": functional.linear,
    "aten.mm.default": torch.mm,
    "aten.mul.Tensor": torch.mul,
    "aten.native_layer_norm.default": torch.native_layer_norm,
    "aten.permute.default": torch.permute,
    "aten.relu.default": torch.relu,
    "aten.scaled_dot_product_attention.default": functional.scaled_dot_product_attention,
    "aten.sigmoid.default": torch.sigmoid,
    "aten.sub.Tensor": torch.sub,
    "aten.sym_size.int": torch.Tensor.size,
    "aten.tanh.default": torch.tanh,
    "aten.unsqueeze.default": torch.unsqueeze,
    "aten.view.default": torch.Tensor.view,
}

_KEYWORDS = {"alpha", "approximate", "scale"}
"""All that are let through: `out`, which would write to a weight, must not be."""


def binding(node: Node, numbers: Collection[str]) -> Callable[..., Any] | None:
    """Return the short way to a node's operator, None where there is none.

    Args:
        node: the node.
        numbers: names of values that are numbers; where a tensor is expected, only the long way
            takes them.
    """
    found = BINDINGS.get(node.op)
    if found is None or not node.args or not node.kwargs.keys() <= _KEYWORDS:
        return None
    first = node.args[0]
    items = first.items if isinstance(first, Items) else [first]
    return found if all(_is_tensor(item, numbers) for item in items) else None


def numbers_of(nodes: Collection[Node]) -> set[str]:
    """Return the names of values that may be numbers: sizes, and what is computed from them."""
    return {node.name for node in nodes if node.op.startswith("size.")} | {
        node.name for node in nodes if node.op == "aten.sym_size.int"
    }


def _is_tensor(arg: Arg, numbers: Collection[str]) -> bool:
    return isinstance(arg, Ref) and arg.name not in numbers
