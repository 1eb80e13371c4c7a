"""One frame in full, without a stream."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.graph.operator import Shape


class Whole:
    """Computes what a network returns unit by unit: inner values of units are never whole.

    Args:
        graph: the network.
        input_shape: (channels, height, width) of the frames.
        units: its division by `partition` for such frames, if there is one already.

    Raises:
        UsageError: the network can't take frames of that shape.
    """

    def __init__(
        self, graph: Graph, input_shape: Shape, units: Sequence[Unit] | None = None
    ) -> None:
        self._graph = graph
        units = partition(graph, input_shape) if units is None else units
        last = {source: unit for unit in units for source in unit.sources}
        self._steps = tuple(
            (unit, tuple(s for s in unit.sources if last[s] is unit and s not in graph.outputs))
            for unit in units
        )

    def __call__(self, frame: Tensor) -> tuple[Tensor, ...]:
        """Compute what the network returns, to the bits of `Graph.run`.

        Values are let go once nothing reads them any more: memory that was just used is still in
        the cache.

        Args:
            frame: [1, channels, height, width], of that shape, as `Graph.checked` returns it.
        """
        values: list[Tensor | None] = [None] * (len(self._graph.nodes) + 1)
        with torch.inference_mode():
            values[FRAME] = frame
            for unit, done in self._steps:
                values[unit.root] = unit.run(values)
                for source in done:
                    values[source] = None
        return tuple(
            value for value in (values[n] for n in self._graph.outputs) if value is not None
        )
