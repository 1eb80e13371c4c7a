"""A value that is computed anew wherever its one reader takes it, and never kept."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from torch import Tensor

from gristmill.incremental.execution.chained import ChainedUnit
from gristmill.incremental.graph.operator import Shape
from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.regions.rectangle import Rectangle

_memory = HeldMemory()


class Transient(NamedTuple):
    """What costs less to compute once more than to keep.

    Args:
        number: of the value.
        chain: computes it.
        shape: of the whole value.
    """

    number: int
    chain: ChainedUnit
    shape: Shape

    def computed(self, regions: Sequence[Rectangle], values: Sequence[Tensor | None]) -> Tensor:
        """Compute some regions.

        Args:
            regions: of the value; empty ones count for nothing.
            values: kept ones.

        Returns:
            [1, channels, height, width] of the whole value: the regions are right, anything stands
            in the rest. This thread's next call writes to the same memory.
        """
        channels, height, width = self.shape
        pixels = _memory.floats(prod(self.shape)).view(1, height, width, channels)
        found = pixels.permute(0, 3, 1, 2)
        self.chain.write([each for each in regions if not each.empty], values, found)
        return found
