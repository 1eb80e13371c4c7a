"""Dense layers of a graph run as few large products: those that read one value are one of them.

An activation that alone reads a layer's result is computed in place. Each element of a result is
the same sum of the same products as before, so answers are the same to the last few bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gristmill.serve.runners.laid_out import linear_of
from gristmill.store.graph import GraphSpec, Node, Ref, references

_LINEAR = "aten.linear.default"
_ACTIVATIONS = ("aten.gelu.default", "aten.relu.default")


class Product:
    """Maps [..., width] to each layer's [..., its width].

    Args:
        weights: of each layer, [its width, width].
        biases: of each layer, [its width]; none where the layers have none.
        activation: the operator that follows, None where none does.
        approximate: how GELU is computed.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor],
        activation: str | None = None,
        approximate: str = "none",
    ) -> None:
        weight = torch.cat(list(weights)) if len(weights) > 1 else weights[0]
        self._linear = linear_of(weight, torch.cat(list(biases)) if biases else None)
        self._sizes = [len(weight) for weight in weights]
        self._activation, self._approximate = activation, approximate

    def __call__(self, values: Tensor) -> tuple[Tensor, ...]:
        """Return the result of each layer."""
        found = self._linear(values)
        if self._activation == "aten.gelu.default":
            torch.ops.aten.gelu_.default(found, approximate=self._approximate)
        elif self._activation is not None:
            torch.relu_(found)
        return (found,) if len(self._sizes) == 1 else found.split(self._sizes, -1)


class Joined(NamedTuple):
    """Dense layers that read one value.

    Attributes:
        source: the value's name.
        results: the names of what they give, in order: a layer's, or that of its activation.
        hidden: the names of layers whose own result nothing else reads.
        product: computes them.
    """

    source: str
    results: tuple[str, ...]
    hidden: tuple[str, ...]
    product: Product


def joined_layers(spec: GraphSpec, weights: Mapping[str, Tensor]) -> dict[str, Joined]:
    """Return the dense layers of a graph by the name of the first of those that go together."""
    readers = _readers(spec)
    found: dict[tuple[str, bool], list[Node]] = {}
    for node in spec.nodes:
        if _is_layer(node, weights) and isinstance(node.args[0], Ref):
            found.setdefault((node.args[0].name, _bias(node) is not None), []).append(node)
    return {
        nodes[0].name: _joined(source, nodes, readers, weights)
        for (source, _), nodes in found.items()
    }


def _joined(
    source: str,
    nodes: Sequence[Node],
    readers: Mapping[str, Sequence[Node | None]],
    weights: Mapping[str, Tensor],
) -> Joined:
    names = [node.args[1].name for node in nodes if isinstance(node.args[1], Ref)]
    matrices = [weights[name] for name in names]
    biases = [weights[bias.name] for node in nodes if (bias := _bias(node)) is not None]
    follower = _follower(nodes[0], readers) if len(nodes) == 1 else None
    if follower is None:
        results = tuple(node.name for node in nodes)
        return Joined(source, results, (), Product(matrices, biases))
    how = str(follower.kwargs.get("approximate", "none"))
    product = Product(matrices, biases, follower.op, how)
    return Joined(source, (follower.name,), (nodes[0].name,), product)


def _readers(spec: GraphSpec) -> dict[str, list[Node | None]]:
    """Return what reads each value: nodes, and None for each output."""
    found: dict[str, list[Node | None]] = {}
    for node in spec.nodes:
        for name in references(node):
            found.setdefault(name, []).append(node)
    for name in spec.outputs:
        found.setdefault(name, []).append(None)
    return found


def _follower(node: Node, readers: Mapping[str, Sequence[Node | None]]) -> Node | None:
    """Return the activation that alone reads a layer's result."""
    found = readers.get(node.name, ())
    only = found[0] if len(found) == 1 else None
    return only if only is not None and only.op in _ACTIVATIONS else None


def _bias(node: Node) -> Ref | None:
    bias = node.args[2] if len(node.args) > 2 else None
    return bias if isinstance(bias, Ref) else None


def _is_layer(node: Node, weights: Mapping[str, Tensor]) -> bool:
    """Say whether a node is a dense layer of two or three arguments, all but the first weights."""
    if node.op != _LINEAR or node.kwargs or not 2 <= len(node.args) <= 3:
        return False
    names = [arg.name if isinstance(arg, Ref) else "" for arg in node.args[1:] if arg is not None]
    found = [weights[name] for name in names if name in weights]
    if not names or len(found) != len(names):
        return False
    return found[0].dim() == 2 and found[-1].dtype == found[0].dtype
