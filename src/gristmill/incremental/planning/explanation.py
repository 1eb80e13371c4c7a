"""A plan as rows that people can read: what is done with each unit, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gristmill.incremental.execution.step import DENSE
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.planning.cost_table import CostTable
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.regions.rectangle import Rectangle


@dataclass(frozen=True)
class Explained:
    """What a plan does with one unit.

    Args:
        name: of the layer whose value is kept.
        operators: what is computed together, in order.
        shape: of the value, (channels, height, width) or (features,).
        does: `skip`, `rectangles` or `dense`.
        rectangles: that are recomputed, of the value's map.
        reached: share of the map that the change may alter, of 1.
        computed: share of the map that is recomputed, of 1; overlaps count twice.
        flops: floating-point operations of it.
        dense_flops: of the whole unit.
        seconds: predicted.
        dense_seconds: of the whole unit, measured.
        makers: whose kernels compute its convolutions: "C" (ours, compiled here), "oneDNN",
            "PyTorch".
        unseen: whether changes of the picture were not looked for, because that does not pay: then
            all of it counts as changed.
    """

    name: str
    operators: tuple[str, ...]
    shape: tuple[int, ...]
    does: Literal["skip", "rectangles", "dense"]
    rectangles: tuple[Rectangle, ...]
    reached: float
    computed: float
    flops: int
    dense_flops: int
    seconds: float
    dense_seconds: float
    makers: tuple[str, ...]
    unseen: bool


def explained(
    units: Sequence[Unit], table: CostTable, plan: Plan, *, unseen: bool = False
) -> list[Explained]:
    """One row for each unit, in the order in which they run."""
    return [_row(number, unit, table, plan, unseen) for number, unit in enumerate(units)]


def _row(number: int, unit: Unit, table: CostTable, plan: Plan, unseen: bool) -> Explained:
    everything = Rectangle.whole(unit.height, unit.width)
    order = DENSE if plan.whole else plan.orders[number]
    rectangles = (everything,) if order is DENSE else order
    return Explained(
        unit.name,
        unit.titles,
        unit.shape,
        "dense" if order is DENSE else "rectangles" if order else "skip",
        () if order is DENSE else order,
        1.0 if plan.whole else min(1.0, plan.reached[number].area / everything.area),
        sum(rectangle.area for rectangle in rectangles) / everything.area,
        sum(unit.flops(rectangle) for rectangle in rectangles),
        unit.flops(everything),
        table.dense[number] if plan.whole else plan.seconds[number],
        table.dense[number],
        unit.makers,
        unseen,
    )
