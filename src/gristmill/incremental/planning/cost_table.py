"""What everything costs on this machine: units in full and by rectangles, the whole frame."""

from __future__ import annotations

from dataclasses import dataclass

from gristmill.incremental.planning.cost_grid import CostGrid
from gristmill.incremental.planning.tile_costs import TileCosts


@dataclass(frozen=True)
class CostTable:
    """Measured seconds of a graph's units for one frame size.

    Args:
        dense: of each unit, computed in full.
        rectangles: of each unit, by height and width of a rectangle of its root, or by the number
            of tiles it takes; the call and the writing of the result included. None for units that
            are only ever computed in full.
        whole: of a whole frame, from the frame to the result, measured at once.
        measured: share of the table's entries that were measured; the others are estimates by
            FLOPs, because the time for calibration was over.
    """

    dense: tuple[float, ...]
    rectangles: tuple[CostGrid | TileCosts | None, ...]
    whole: float
    measured: float = 1.0
