"""Neighbouring operators made one: fewer passes over memory, and less state to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from gristmill.incremental.graph.node import FRAME, Node
from gristmill.incremental.graph.operator import Operator
from gristmill.incremental.graph.operators.arithmetic import Arithmetic
from gristmill.incremental.graph.operators.convolution import Convolution, Padding
from gristmill.incremental.graph.operators.gathering import Bordering
from gristmill.incremental.graph.operators.linear import Linear
from gristmill.incremental.graph.operators.pointwise import Activate, Affine

_WITH_ACTIVATION = (Affine, Arithmetic, Linear)


def fused(nodes: Sequence[Node], outputs: Sequence[int]) -> tuple[list[Node], list[int]]:
    """Fold what follows a node into it where nothing else reads the node; drop what is not used.

    Returns:
        The nodes that are left, and their numbers of the outputs.
    """
    readers = [0] * len(nodes)
    for source in (*outputs, *(source for node in nodes for source in node.inputs)):
        if source != FRAME:
            readers[source] += 1
    found: list[Node] = []
    places: dict[int, int] = {FRAME: FRAME}
    for number, node in enumerate(nodes):
        only = node.inputs[0] if len(node.inputs) == 1 else FRAME
        alone = only != FRAME and readers[only] == 1
        before = found[places[only]] if alone else None
        joint = joined(before.operator, node.operator) if before else None
        if before is not None and joint is not None:
            places[number] = places[only]
            name = node.name if isinstance(before.operator, Bordering) else before.name
            found[places[only]] = replace(before, operator=joint, name=name)
        else:
            places[number] = len(found)
            inputs = tuple(places[source] for source in node.inputs)
            found.append(replace(node, inputs=inputs))
    return _used(found, [places[output] for output in outputs])


def joined(before: Operator, after: Operator) -> Operator | None:
    """One operator that does what two in a row do, None where there is none."""
    if isinstance(before, Bordering) and isinstance(after, Convolution):
        return _bordered(before, after)
    if isinstance(before, Convolution) and isinstance(after, Affine):
        return _scaled(before, after)
    if not isinstance(after, Activate):
        return None
    if isinstance(before, Convolution) and before.layer.activation is None:
        return before.with_activation(after.activation)
    if isinstance(before, _WITH_ACTIVATION) and before.activation is None:
        return before.with_activation(after.activation)
    return None


def _bordered(border: Bordering, convolution: Convolution) -> Convolution | None:
    """Zeros before a convolution are its padding."""
    if border.zeros is None:
        return None
    left, right, top, bottom = border.zeros
    own = convolution.padding
    sides = Padding(own.top + top, own.left + left, own.bottom + bottom, own.right + right)
    return Convolution(convolution.layer, sides)


def _scaled(convolution: Convolution, affine: Affine) -> Convolution | None:
    """A factor and a shift per channel go into the weights and the bias."""
    layer = convolution.layer
    if layer.activation is not None:
        return None
    factor, shift = affine.factor.double(), affine.shift.double()
    weight = layer.weight.double() * factor.view(-1, 1, 1, 1)
    bias = shift if layer.bias is None else layer.bias.double() * factor + shift
    scaled = layer._replace(
        weight=weight.to(torch.float32), bias=bias.to(torch.float32), activation=affine.activation
    )
    return Convolution(scaled, convolution.padding)


def _used(nodes: Sequence[Node], outputs: Sequence[int]) -> tuple[list[Node], list[int]]:
    """What the outputs depend on."""
    needed = set(outputs)
    for number in reversed(range(len(nodes))):
        if number in needed:
            needed.update(nodes[number].inputs)
    kept = [number for number in range(len(nodes)) if number in needed]
    places = {FRAME: FRAME, **{number: place for place, number in enumerate(kept)}}
    found = [
        replace(nodes[number], inputs=tuple(places[source] for source in nodes[number].inputs))
        for number in kept
    ]
    return found, [places[output] for output in outputs]
