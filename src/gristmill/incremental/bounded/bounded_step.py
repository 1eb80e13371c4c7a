"""One frame of a stream whose small changes wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from gristmill.incremental.bounded.audit import Audit, agreement, relative_error
from gristmill.incremental.bounded.comparing_cost import ComparingCost
from gristmill.incremental.bounded.sieve import let_through
from gristmill.incremental.bounded.steering import Steering
from gristmill.incremental.bounded.thresholds import spreads
from gristmill.incremental.bounded.trial import Trial
from gristmill.incremental.bounded.yields import Yields
from gristmill.incremental.execution.step import DENSE, Order, Step
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.node import FRAME
from gristmill.incremental.planning.cost_table import CostTable
from gristmill.incremental.planning.experience import Experience
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.planning.planner import Planner, reach_of
from gristmill.incremental.planning.prospect import Prospect
from gristmill.incremental.regions.condensing import condensed
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet

_MOST_RECTANGLES = 16


class BoundedStep:
    """Brings the values of one stream up to date, each within a threshold.

    A unit's kept value is what its readers have seen. Where the unit is recomputed, the new
    numbers replace it only at places that differ from it by more than the unit's threshold, and
    only those places have changed for its readers. So at every moment

        |kept value - unit(kept values that it reads)| <= threshold of the unit

    holds for each number of each unit: nothing that waits is lost, nothing adds up. What that
    makes of the network's outputs no one knows beforehand (layers may amplify); audits measure it.

    Where that takes longer than exact frames would, frames are exact instead (`Trial`).

    What to recompute is decided unit by unit while the frame runs, for only then it is known what
    has changed. Once all of a unit's map differs by more, what reads it is computed in full without
    being compared. Amounts of change for which that took longer than a whole frame are remembered,
    and then computed whole; as `Planner` does it.

    Args:
        step: carries out the frames of the stream's size.
        planner: gives the orders.
        table: what the units cost.
        cost: of comparing.
        steering: of the stream; says how large the thresholds are.

    Attributes:
        exact: whether all values are those of the whole network on the stream's reference.
    """

    def __init__(
        self,
        step: Step,
        planner: Planner,
        table: CostTable,
        cost: ComparingCost,
        steering: Steering,
    ) -> None:
        self._step, self._planner, self._table = step, planner, table
        self._steering = steering
        self._cost = cost
        self._comparing = Planner(step.units, cost.added(table, step.units))
        self._yields = Yields(step.units, table)
        self._prospect = Prospect()
        self._experience = Experience()
        self._spreads: tuple[float, ...] = ()
        self._trial = Trial()
        self.exact = False

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of each unit, the largest difference that waits."""
        scale = self._steering.scale
        return tuple(scale * spread for spread in self._spreads)

    def advance(self, state: StreamState, frame: Tensor, changed: RegionSet) -> Plan:
        """Bring the stream up to date; return what was done.

        Args:
            state: of the stream; one that is not current is computed in full.
            frame: [1, channels, height, width]; read in the changed places only, and as a whole
                where all is computed.
            changed: places of the frame; not empty.

        Raises:
            UsageError: the frame is of another size.
        """
        if not self._trial.waits and self.exact and state.current:
            plan = self._planner.plan(changed)
            if not plan.whole:
                self._step.update(state, frame, changed, plan.orders)
                return plan
        elif self._trial.waits and state.current and self._prospect.worth_planning(changed):
            plan = self._update(state, frame, changed)
            limit = self._experience.limit(self._table.whole)
            self._prospect.learn(changed, paid=plan.predicted < limit)
            return plan
        return self.whole(state, frame, changed)

    def whole(self, state: StreamState, frame: Tensor, changed: RegionSet) -> Plan:
        """Compute everything; return what was done.

        Args:
            state: of the stream.
            frame: [1, channels, height, width].
            changed: places of the frame.
        """
        plan = self._planner.whole_frame(changed)
        self._step.whole(state, frame)
        self.exact = True
        if not self._spreads:
            self._spreads = spreads(self._step.units, state.values)
        self._yields.renew()
        return plan

    def observe(self, plan: Plan, seconds: float) -> None:
        """Take in how long a plan's frame took in all."""
        if self._trial.waits:
            self._experience.observe(plan, seconds)
            if self._trial.wants_sample:
                self._trial.weigh(seconds, self._planner.foreseen(plan.changed))
        else:
            self._planner.observe(plan, seconds)
        self._trial.count()

    def audit(self, state: StreamState, outputs: Sequence[int], picture: int) -> tuple[Plan, Audit]:
        """Compute the reference in full; return what was done, and how far off the outputs were.

        Args:
            state: of the stream, current; all its values are then those of the whole network.
            outputs: numbers of the nodes whose values the network returns.
            picture: number of the stream's picture.
        """
        # Copies: the whole frame may be written over them.
        found = [value.clone() for value in state.outputs(outputs)]
        reference = cast(Tensor, state.reference)  # a current state has one
        scale = self._steering.scale
        height, width = reference.shape[2:]
        plan = self.whole(state, reference, RegionSet.whole(height, width))
        full = state.outputs(outputs)
        found_to_be = Audit(picture, relative_error(found, full), agreement(found, full), scale)
        self._steering.learn(found_to_be)
        if self._steering.scale > scale:  # less will be let through than what was accounted for
            self._yields.try_all()
        return plan, found_to_be

    def _update(self, state: StreamState, frame: Tensor, changed: RegionSet) -> Plan:
        orders: list[Order] = []
        reached: list[RegionSet] = []
        seconds: list[float] = []
        places: dict[int, RegionSet] = {FRAME: changed}
        thresholds = self.thresholds
        self.exact = False
        renewed: set[int] = set()  # roots of which everything differs, and what reads them
        with self._step.updating(state, frame, changed):
            for number, unit in enumerate(self._step.units):
                hopeless = not renewed.isdisjoint(unit.sources)
                reach = _everything(unit) if hopeless else reach_of(unit, places)
                compares = self._yields.compares(number) and not hopeless
                planner = self._comparing if compares else self._planner
                order, cost = planner.order(number, reach)
                if compares and reach:
                    written = self._compared(number, order, state, thresholds[number])
                    self._account(number, order, reach.area - written.area)
                    places[unit.root] = written
                    # Of a single pixel, anything that differs is everything.
                    hopeless = written == _everything(unit) and written.area > 1
                else:
                    self._step.carry_out(state, number, order)
                    places[unit.root] = reach
                if hopeless:
                    renewed.add(unit.root)
                orders.append(order)
                reached.append(reach)
                seconds.append(cost)
        return Plan.by_units(changed, orders, reached, seconds, self._table.whole)

    def _compared(
        self, number: int, order: Order, state: StreamState, threshold: float
    ) -> RegionSet:
        """Recompute a unit, and write what differs by more than the threshold; return where."""
        unit, values = self._step.units[number], state.values
        kept = cast(Tensor, values[unit.root])  # kept from the first whole frame on
        places = self._step.tiles[number] if order is DENSE else order
        if not places:
            everything = _everything(unit).rectangles
            return _few(let_through(unit.run(values), kept, everything, threshold))
        written: list[Rectangle] = []
        for found, inside, origin in unit.computed(places, values):
            written += let_through(found, kept, inside, threshold, origin)
        return _few(written)

    def _account(self, number: int, order: Order, kept_back: int) -> None:
        unit = self._step.units[number]
        channels = unit.channels
        if order is DENSE:
            seconds = self._cost(unit.height, unit.width, channels)
        else:
            seconds = sum(self._cost(place.height, place.width, channels) for place in order)
        self._yields.observe(number, seconds, kept_back)


def _everything(unit: Unit) -> RegionSet:
    return RegionSet.whole(unit.height, unit.width)


def _few(written: Sequence[Rectangle]) -> RegionSet:
    """Places as no more rectangles than it is worth to join by cost, which goes by their square."""
    if len(written) <= _MOST_RECTANGLES:
        return RegionSet(tuple(written))
    return RegionSet.covering(condensed(written, _MOST_RECTANGLES, margin=1))
