"""Changes of a frame and orders for them, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gristmill.incremental.execution.step import DENSE, Order
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.node import FRAME
from gristmill.incremental.planning.planner import reach_of
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet


def drawn_rectangle(
    random: Random, height: int, width: int, longest: int | None = None
) -> Rectangle:
    """Return a rectangle in a frame, that is not empty; no side is longer than `longest`."""
    top, left = random.randrange(height), random.randrange(width)
    bottom, right = random.randint(top + 1, height), random.randint(left + 1, width)
    if longest is not None:
        bottom, right = min(bottom, top + longest), min(right, left + longest)
    return Rectangle(top, left, bottom, right)


def drawn_change(
    random: Random, height: int, width: int, *, least: int = 0, longest: int | None = None
) -> RegionSet:
    """Return what `least` to four drawn rectangles cover."""
    count = random.randint(least, 4)
    return RegionSet.covering(drawn_rectangle(random, height, width, longest) for _ in range(count))


def drawn_orders(
    random: Random, units: Sequence[Unit], changed: RegionSet
) -> tuple[list[Order], list[RegionSet]]:
    """Return orders that cover what a change reaches, a fifth of them dense; and what that is."""
    places, orders = {FRAME: changed}, list[Order]()
    for unit in units:
        reach = places[unit.root] = reach_of(unit, places)
        dense = not unit.regional or random.random() < 0.2
        orders.append(DENSE if dense else reach.rectangles)
    return orders, [places[unit.root] for unit in units]
