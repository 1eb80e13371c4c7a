"""From an ordinary module to a graph of operators that know what a change reaches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.exporting import exported
from gristmill.incremental.graph.fusing import fused
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.graph.operators.elementwise import Elementwise
from gristmill.incremental.graph.translation import Translation
from gristmill.incremental.kernels.tile_grid import SIDE


def capture(module: nn.Module, example: Tensor, *, any_size: bool = True) -> Graph:
    """Capture what a module does to a frame in evaluation mode.

    Batch normalization and activations are folded into the convolutions before them. A call that
    no rule knows becomes an operator that is computed in full, as is everything after it; the
    graph's notes name it. The module is left as it is, its mode included; the graph keeps its
    present weights.

    Args:
        module: takes one tensor, a frame, and returns a tensor or several; weights of float32.
        example: a frame, float32 [1, channels, height, width]. Other heights and widths are taken
            later if the module does the same to them.
        any_size: whether to find that out; it takes several times as long (ten seconds for a
            MobileNet). Without, frames of the example's size only are taken.

    Raises:
        UsageError: the example is no such frame, or the module can't be captured.
    """
    _check(module, example)
    program = exported(module, example.detach(), any_size)
    with torch.no_grad():
        translation = Translation(program)
        outputs = translation.outputs()
        nodes, outputs = fused(translation.nodes, outputs)
    notes = list(translation.notes)
    if module.training:
        notes.insert(0, "the model was in training mode; its evaluation mode was captured")
    shape = tuple(example.shape[1:])
    graph = Graph(tuple(nodes), shape, tuple(outputs), tuple(notes), program.takes)
    _check_kernels(graph)
    return graph


def _check(module: nn.Module, example: Tensor) -> None:
    found = list(example.shape)
    if example.dim() != 4 or example.shape[0] != 1 or 0 in found:
        raise UsageError(
            f"expected an example of shape [1, channels, height, width], found {found}",
            fix="give one frame, with a batch dimension of 1",
        )
    if example.dtype != torch.float32:
        raise UsageError(
            f"expected an example of float32, found {example.dtype}", fix="call example.float()"
        )
    tensors = (*module.named_parameters(), *module.named_buffers())
    for name, tensor in tensors:
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise UsageError(
                f"expected weights of float32, found {tensor.dtype}",
                where=name,
                fix="call module.float()",
            )


def _check_kernels(graph: Graph) -> None:
    """See at the example's size which convolutions give a part of a map the whole map's bits.

    Tiles lie half a tile beside those of the map that they are made of. What is altered of that map
    are whole tiles, and they reach half a tile further so, not a whole one.
    """
    shapes = [*graph.shapes(), graph.input_shape]
    leads: dict[int, int] = {}  # of values by tiles, and of what has their pixels
    for number, node in enumerate(graph.nodes):
        lead = next((leads[s] for s in sorted(node.inputs, reverse=True) if s in leads), None)
        if isinstance(node.operator, Convolution):
            _, height, width = shapes[node.inputs[0]]
            node.operator.check((height, width), 0 if lead is None else SIDE // 2 - lead)
            if node.operator.tiled is not None:
                leads[number] = node.operator.lead
        elif lead is not None and isinstance(node.operator, Elementwise):
            leads[number] = lead
