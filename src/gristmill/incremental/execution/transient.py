"""A value that is computed anew wherever its one reader takes it, and never kept."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from torch import Tensor

from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.regions.rectangle import Rectangle

if TYPE_CHECKING:
    from gristmill.incremental.execution.unit import Unit

_memory = HeldMemory()


class Transient:
    """What costs less to compute once more than to keep.

    Args:
        unit: computes it from kept values alone, so that no two are wanted at once.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.number = unit.root

    def among(
        self, values: Sequence[Tensor | None], regions: Sequence[Rectangle]
    ) -> list[Tensor | None]:
        """Compute some regions of the value.

        Args:
            values: kept ones.
            regions: of the value; empty ones count for nothing.

        Returns:
            The kept values and, in its place, this one: [1, channels, height, width], in which the
            regions are right and anything stands in the rest. This thread's next call writes to the
            same memory.
        """
        unit, found = self._unit, [*values]
        if not unit.chained and Rectangle.whole(unit.height, unit.width) in regions:
            found[self.number] = unit.run(values)
            return found
        pixels = _memory.floats(prod(unit.shape)).view(1, unit.height, unit.width, unit.channels)
        found[self.number] = pixels.permute(0, 3, 1, 2)
        unit.recompute([each for each in regions if not each.empty], found)
        return found
