"""The cheapest way to bring a stream's values up to date, by measured cost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from gristmill.incremental.execution.step import DENSE, SKIP, Order
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.node import FRAME
from gristmill.incremental.planning.cost_table import CostTable
from gristmill.incremental.planning.experience import MARGIN, Experience
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.planning.prospect import Prospect
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet

_REMEMBERED = 64


class Planner:
    """Plans frames of one size.

    What a change reaches is handed from unit to unit as it is, not as it is recomputed: values
    outside it stay the same bits though they are computed once more. So rectangles that are
    merged, or a unit that is computed in full, make nothing larger further down.

    Who tells `observe` how long frames took lets the planner learn how far to trust its table.

    Args:
        units: of the graph.
        table: their cost.
        margin: how much cheaper than a whole frame a plan must be, as a share of the whole; what
            planning costs and predictions miss.
    """

    def __init__(self, units: Sequence[Unit], table: CostTable, *, margin: float = MARGIN) -> None:
        self._units = tuple(units)
        self._table = table
        self._margin = margin
        self._experience = Experience()
        self._wholes = tuple(RegionSet.whole(unit.height, unit.width) for unit in self._units)
        self._prospect = Prospect()
        self._known: OrderedDict[RegionSet, Plan] = OrderedDict()

    def plan(self, changed: RegionSet) -> Plan:
        """Decide what to do when these places of the frame change."""
        known = self._known.get(changed)
        if known is not None and known.predicted <= self._limit:
            self._known.move_to_end(changed)
            return known
        if not self._prospect.worth_planning(changed):
            return self.whole_frame(changed)
        plan = self._planned(changed)
        self._prospect.learn(changed, paid=not plan.whole)
        if not plan.whole:
            self._known[changed] = plan
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return plan

    def whole_frame(self, changed: RegionSet) -> Plan:
        """Return the plan that computes everything, whatever is cheapest."""
        whole = self._table.whole
        return Plan(changed, True, (), (), (), whole, whole)

    def observe(self, plan: Plan, seconds: float) -> None:
        """Take in how long a plan's frame took in all; later plans are chosen the better for it."""
        self._experience.observe(plan, seconds)

    def foreseen(self, changed: RegionSet) -> float:
        """Return the seconds that such a frame should take, by what frames have taken so far."""
        return self._experience.foreseen(self.plan(changed))

    def order(self, number: int, reach: RegionSet) -> tuple[Order, float]:
        """Decide what to do with one unit, whatever is done with the others.

        Args:
            number: of the unit.
            reach: places of its root that may have changed.

        Returns:
            The order, and the seconds that it should take.
        """
        if not reach:
            return SKIP, 0.0
        dense = self._table.dense[number]
        costs = self._table.rectangles[number]
        if costs is None or reach == self._wholes[number]:
            return DENSE, dense
        rectangles, seconds = costs.order(reach)
        return (DENSE, dense) if seconds >= dense else (rectangles, seconds)

    @property
    def _limit(self) -> float:
        """Predicted seconds up to which a plan is cheaper than a whole frame."""
        return self._experience.limit(self._table.whole, self._margin)

    def _planned(self, changed: RegionSet) -> Plan:
        limit = self._limit
        reached: list[RegionSet] = []
        orders: list[Order] = []
        seconds: list[float] = []
        total = 0.0
        places: dict[int, RegionSet] = {FRAME: changed}
        for number, unit in enumerate(self._units):
            reach = reach_of(unit, places)
            places[unit.root] = reach
            order, cost = self.order(number, reach)
            reached.append(reach)
            orders.append(order)
            seconds.append(cost)
            total += cost
            if total > limit:
                return self.whole_frame(changed)
        return Plan.by_units(changed, orders, reached, seconds, self._table.whole)


def reach_of(unit: Unit, places: Mapping[int, RegionSet]) -> RegionSet:
    """Return the places of a unit's root that a change of what it reads may alter.

    Args:
        unit: which.
        places: changed ones of each value that it reads, by node number.
    """
    found = NOWHERE
    for source in unit.sources:
        changed = places[source]
        if changed:
            found = found.united(unit.reached(source, changed))
    return found
