"""What is to be done with one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from gristmill.incremental.execution.step import Order
from gristmill.incremental.regions.region_set import RegionSet


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision for each unit of a graph.

    Args:
        changed: places of the frame that changed.
        whole: whether the frame is computed as a whole; then there are no orders.
        orders: of each unit, what to do.
        reached: of each unit, the places of its root that the change may alter.
        seconds: of each unit, what its order should take.
        predicted: seconds of the frame; those of a whole one if that is what is done.
        dense: seconds of a whole frame.
    """

    changed: RegionSet
    whole: bool
    orders: tuple[Order, ...]
    reached: tuple[RegionSet, ...]
    seconds: tuple[float, ...]
    predicted: float
    dense: float

    @classmethod
    def by_units(
        cls,
        changed: RegionSet,
        orders: Sequence[Order],
        reached: Sequence[RegionSet],
        seconds: Sequence[float],
        dense: float,
    ) -> Self:
        """Return the plan that carries out these orders."""
        parts = tuple(orders), tuple(reached), tuple(seconds)
        return cls(changed, False, *parts, sum(seconds), dense)
