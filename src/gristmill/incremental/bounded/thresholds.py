"""How large the differences of each unit may be that wait."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gristmill.incremental.execution.unit import Unit


def spreads(units: Sequence[Unit], values: Sequence[Tensor | None]) -> tuple[float, ...]:
    """Measure how much the values of each unit vary over their map.

    Of each channel the standard deviation over all places, of these the median: a few channels
    that are dead, or much louder than the others, don't move it.

    Args:
        units: of the graph.
        values: kept ones by node number, of a whole frame.

    Returns:
        One for each unit; 0 where the root's value is no map, or one of whole numbers or truths.
    """
    with torch.inference_mode():
        return tuple(_spread(values[unit.root]) for unit in units)


def _spread(value: Tensor | None) -> float:
    if value is None or value.dim() != 4 or not value.is_floating_point():
        return 0.0
    found = value.var((2, 3), correction=0).sqrt_().median().item()
    return found if found < float("inf") else 0.0
