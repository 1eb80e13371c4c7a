"""What comes after the maps: layers of vectors, which cost by their weights and not by places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.kernels.native.convolution import Bits
from gristmill.incremental.kernels.native.differences import Known
from gristmill.incremental.occlusion.base_values import BaseValues
from gristmill.incremental.occlusion.kernels import Kernels


class Tail:
    """The nodes at the graph's end that read vectors, or maps of one pixel, and nothing else.

    For one position they take as long as for dozens: all their weights are read once. So they run
    for the positions of many batches together.

    Args:
        graph: the network.
        shapes: of all nodes' values, and of the frame behind them.
        kernels: for many positions.
        bits: of the numbers that wide matrices multiply of what changes.

    Attributes:
        nodes: numbers of these nodes.
        wanted: numbers of the nodes before them that they read, or that the network returns.
    """

    def __init__(
        self, graph: Graph, shapes: Sequence[Shape], kernels: Kernels, bits: Bits = 32
    ) -> None:
        self._graph, self._kernels, self._bits = graph, kernels, bits
        inside: set[int] = set()
        for number in reversed(range(len(graph.nodes))):
            small = all(extent(shapes[source]) == (1, 1) for source in graph.nodes[number].inputs)
            if small and inside.issuperset(graph.readers[number]):
                inside.add(number)
        self.nodes = tuple(sorted(inside))
        read = {source for number in inside for source in graph.nodes[number].inputs}
        self.wanted = tuple(sorted((read | {*graph.outputs}) - inside - {FRAME}))

    def run(self, base: BaseValues, values: Mapping[int, Tensor], count: int) -> list[Tensor]:
        """Return what the network returns, each [positions, ...] of it.

        Args:
            base: values for the picture as it is, where nothing changes.
            values: of the `wanted` nodes, each [positions, ...].
            count: of the positions.
        """
        found = dict(values)

        def value(number: int) -> Tensor:
            if number not in found:
                found[number] = base[number].expand(count, *base[number].shape[1:])
            return found[number]

        for number in self.nodes:
            inputs = self._graph.nodes[number].inputs
            kernel = self._kernels.vector_difference(number, self._bits)
            if kernel is not None:
                (source,) = inputs
                known = Known(base[source], base[number], torch.zeros(count, dtype=torch.int32))
                found[number] = kernel(value(source), known)
            else:
                found[number] = self._kernels.vectors(number)(*map(value, inputs))
        return [value(number) for number in self._graph.outputs]
