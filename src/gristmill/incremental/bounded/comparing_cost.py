"""What it takes to compare new numbers with kept ones, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from gristmill.incremental.bounded.sieve import let_through
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.planning.cost_grid import CostGrid
from gristmill.incremental.planning.cost_table import CostTable
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.planning.tile_costs import TileCosts
from gristmill.incremental.regions.rectangle import Rectangle

_CHANNELS, _SMALL, _LARGE = 64, 2, 32
_SECONDS = 0.05


class ComparingCost(NamedTuple):
    """Seconds of comparing a rectangle: call + number x the numbers in it.

    Attributes:
        call: of one rectangle, however small.
        number: of one number.
    """

    call: float
    number: float

    @classmethod
    def measured(cls) -> ComparingCost:
        """Measure it, in some hundredths of a second."""
        watch = Stopwatch(_SECONDS, repeats=9)
        small, large = (_seconds(side, watch) for side in (_SMALL, _LARGE))
        numbers = _CHANNELS * (_LARGE * _LARGE - _SMALL * _SMALL)
        return cls(small, max(0.0, large - small) / numbers)

    def __call__(self, height: int, width: int, channels: int) -> float:
        """Seconds of a rectangle of so many rows, columns and channels."""
        return self.call + self.number * (height * width * channels)

    def added(self, table: CostTable, units: Sequence[Unit]) -> CostTable:
        """Return what units cost that compare all that they compute.

        Args:
            table: what they cost without.
            units: of the graph.
        """
        return replace(
            table,
            dense=tuple(
                seconds + self(unit.height, unit.width, unit.channels)
                for unit, seconds in zip(units, table.dense, strict=True)
            ),
            rectangles=tuple(
                None if grid is None else self._added(grid, unit.channels)
                for unit, grid in zip(units, table.rectangles, strict=True)
            ),
        )

    def _added(self, grid: CostGrid | TileCosts, channels: int) -> CostGrid | TileCosts:
        if isinstance(grid, TileCosts):
            return grid.dearer(self.call, self.number * channels)
        seconds = tuple(
            tuple(
                each + self(height, width, channels)
                for width, each in zip(grid.widths, row, strict=True)
            )
            for height, row in zip(grid.heights, grid.seconds, strict=True)
        )
        return CostGrid(grid.classes, grid.heights, grid.widths, seconds)


def _seconds(side: int, watch: Stopwatch) -> float:
    kept = torch.zeros((1, _CHANNELS, side, side)).contiguous(memory_format=torch.channels_last)
    found, place = kept.clone(), Rectangle.whole(side, side)
    # What is no number is never within: each block is compared to its end, and written each time.
    found[:, :, 1::2] = torch.nan
    return watch.measure(lambda: let_through(found, kept, (place,), 0.0))
