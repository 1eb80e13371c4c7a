"""Which of the ways to read a value's patches takes least, by where they lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

from gristmill.incremental.graph.operator import Shape
from gristmill.incremental.occlusion.layout import Layout, Numbers, Places
from gristmill.incremental.occlusion.reading import Gathered, Passed, Patches, located
from gristmill.incremental.occlusion.scratch import Scratch

Read: TypeAlias = Callable[[Patches], Tensor]
"""What makes windows of a value, of its patches."""


class Reads:
    """Makes what reads windows of values.

    Args:
        shapes: of all nodes' values, and of the frame behind them.
        layouts: of the patches, by the number of the node; may be added to.
        scratch: memories, each for one input of a node.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        layouts: Mapping[int, Layout],
        scratch: Mapping[int, Scratch],
    ) -> None:
        self._shapes, self._layouts, self._scratch = shapes, layouts, scratch

    def windows(
        self, source: int, which: Numbers, places: Places, memory: int = 0, fill: float = 0.0
    ) -> Read:
        """Return what makes windows of one size of a value, for some positions.

        Args:
            source: number of the node.
            which: positions.
            places: of their windows.
            memory: for which input of the node that reads.
            fill: what lies beyond the map.
        """
        layout = self._layouts.get(source)
        size = len(which), int(places.heights[0]), int(places.widths[0])
        block = None if layout is None else layout.block(which, places)
        if block is not None:
            return Passed(block, size, self._shapes[source])
        rows = (places.tops[:, None] + np.arange(size[1]))[:, :, None]
        columns = (places.lefts[:, None] + np.arange(size[2]))[:, None, :]
        return self.pixels(source, memory, which[:, None, None], rows, columns, size, fill)

    def pixels(
        self,
        source: int,
        memory: int,
        which: Numbers,
        rows: Numbers,
        columns: Numbers,
        size: tuple[int, int, int],
        fill: float = 0.0,
    ) -> Gathered:
        """Return what makes pixels of a value, wherever they are, in windows of that size."""
        shape = self._shapes[source]
        numbers = located(self._layouts.get(source), shape, which, rows, columns)
        return Gathered(numbers, size, shape, fill, self._scratch[memory])
