"""Moldable trials: when devices would idle, the longest trials are spread over several.

A trial that runs on one device at a time bounds the makespan by its own length. Spread over k
devices, as a pipeline of k stages or as k replicas, it is bounded by less, at the price of a bubble
or a reduction. So the trials that would be last are given devices until none is longer than what
all devices need for all the work that is left (cf. moldable task scheduling: Turek, Wolf and Yu
1992).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping

import msgspec

from gristmill.train.tasks.critical_path import CriticalPath
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.merging import balanced
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import TrialShape

_WORTH = 1.05
"""Times shorter that one more device has to make a trial."""
_FINER = (2, 4)
"""Stages on each device that a pipeline over all devices may have: so many times shorter is its
bubble, and so many times more often is a task handed over (Narayanan et al. 2021, section 2.2)."""


class Layout(msgspec.Struct, frozen=True):
    """A trial on so many devices, and the seconds of one of its steps there."""

    devices: int
    seconds: float
    shape: TrialShape

    @property
    def occupied(self) -> float:
        """Device seconds that one step takes up, bubbles included."""
        return self.devices * self.seconds


class Molding:
    """Decides how many devices each trial is spread over; a scheduler's `reshaper`.

    A pipeline changes no bit of the result, nor do as many replicas as there are micro-batches:
    each adds one gradient to the sum, in their order (unless a forward pass changes buffers). Fewer
    replicas add up their own first, which rounds differently. A trial that comes with replicas
    keeps them, and one whose data stays with its devices keeps its shape.

    Args:
        replicated: whether trials may be replicated where that rounds differently.
        pipelined: whether trials may be pipelined, which changes no bit of the result.
        most: the most devices for one trial; None for as many as there are.
        fits: says whether a shape fits the devices' memory; None takes all to fit.
        slack: how much longer than its share a trial may be before it is spread, as a ratio.
        dispatch_seconds: what handing over a task costs a device.
    """

    def __init__(
        self,
        *,
        replicated: bool = False,
        pipelined: bool = True,
        most: int | None = None,
        fits: Callable[[TrialShape], bool] | None = None,
        slack: float = 1.0,
        dispatch_seconds: float = 0.0,
    ) -> None:
        self._replicated, self._pipelined = replicated, pipelined
        self._most, self._fits, self._slack = most, fits, slack
        self._dispatch_seconds = dispatch_seconds
        self._base: dict[int, TrialShape] = {}
        self._layouts: dict[tuple[TrialShape, int], list[Layout]] = {}
        self._now: dict[int, Layout] = {}

    def review(
        self, graphs: Mapping[int, TrialGraph], speeds: Mapping[int, float]
    ) -> dict[int, TrialShape]:
        """Return the shapes to take, of the trials that should change.

        Args:
            graphs: the running trials; the shape that one has when first seen is its own, cut into
                as many stages as it may ever have.
            speeds: of the devices there are.
        """
        for trial in set(self._base) - set(graphs):
            del self._base[trial]
            self._now.pop(trial, None)
        graphs = {trial: graph for trial, graph in graphs.items() if graph.homes is None}
        for trial, graph in graphs.items():
            self._base.setdefault(trial, graph.shape)
        chosen = self._spread(graphs, speeds)
        changed = {}
        for trial, layout in chosen.items():
            present = self._now.get(trial) or self.layouts(self._base[trial], len(speeds))[0]
            if layout.devices != present.devices and self._worth(present, layout):
                self._now[trial] = layout
                changed[trial] = layout.shape
        return changed

    def layouts(self, base: TrialShape, devices: int) -> list[Layout]:
        """Return the ways to run a trial on more and more devices, each worth its devices."""
        if (base, devices) not in self._layouts:
            most = devices if self._most is None else min(self._most, devices)
            found = [Layout(1, CriticalPath(base).step, base)]
            for count in range(2, most + 1):
                all_devices = count == devices
                best = min(self._candidates(base, count, all_devices), key=_seconds, default=None)
                if best is not None and best.seconds * _WORTH < found[-1].seconds:
                    found.append(best)
            self._layouts[base, devices] = found
        return self._layouts[base, devices]

    def _candidates(self, base: TrialShape, count: int, all_devices: bool) -> Iterator[Layout]:
        """Yield ways to run a trial on so many devices.

        Where these are all that there are, a pipeline may have several stages on each: elsewhere
        they would spread over the devices of others.
        """
        for shape in self._shapes(base, count):
            if self._fits is None or self._fits(shape):
                handing_over = 2 * shape.micros * self._dispatch_seconds
                yield Layout(count, CriticalPath(shape).step + handing_over, shape)
        for shape in self._finer(base, count) if all_devices else ():
            if self._fits is None or self._fits(shape):
                yield Layout(count, self._simulated(shape, count), shape)

    def _shapes(self, base: TrialShape, count: int) -> Iterator[TrialShape]:
        if base.replicas > 1:
            return
        if self._may_pipeline(base, count):
            yield _pipeline(base, count, base.in_flight or count)
        exact = base.replicable and base.micro_batches == count
        if exact or (self._replicated and base.micro_batches % count == 0):
            yield replicated(base, count)

    def _finer(self, base: TrialShape, count: int) -> Iterator[TrialShape]:
        for stages in (each * count for each in _FINER):
            for in_flight in dict.fromkeys((base.in_flight, base.in_flight or 3 * count)):
                if self._may_pipeline(base, stages):
                    yield _pipeline(base, stages, in_flight)

    def _may_pipeline(self, base: TrialShape, stages: int) -> bool:
        several = base.micro_batches > 1 and base.replicas == 1
        return self._pipelined and several and 1 < stages <= len(base.stages)

    def _simulated(self, shape: TrialShape, devices: int) -> float:
        """Return the seconds of a step in the long run: the second one's of two."""
        speeds = (1.0,) * devices
        machine = Machine(speeds=speeds, dispatch_seconds=self._dispatch_seconds)
        one, two = (
            simulate([TrialGraph(0, shape, 0, steps)], machine, keep=False).makespan
            for steps in (1, 2)
        )
        return two - one

    def _spread(
        self, graphs: Mapping[int, TrialGraph], speeds: Mapping[int, float]
    ) -> dict[int, Layout]:
        """Give devices to the longest trials until none exceeds its share, or none are left."""
        left = {trial: graph.end - graph.completed for trial, graph in graphs.items()}
        ways = {trial: self.layouts(self._base[trial], len(speeds)) for trial in graphs}
        total = sum(speeds.values())
        work = sum(left[trial] * ways[trial][0].seconds for trial in graphs)
        heap = [(-left[trial] * ways[trial][0].seconds, trial) for trial in graphs]
        heapq.heapify(heap)
        taken = dict.fromkeys(graphs, 0)
        spare = len(speeds) - (len(graphs) if len(graphs) < len(speeds) else 0)
        while heap and -heap[0][0] > self._slack * work / total:
            _, trial = heapq.heappop(heap)
            way, step = ways[trial], taken[trial] + 1
            if step == len(way):
                continue
            alone = 0 if taken[trial] or len(graphs) < len(speeds) else 1
            more = way[step].devices - way[step - 1].devices + alone
            if more > spare:
                continue
            spare -= more
            taken[trial] = step
            work += left[trial] * (way[step].occupied - way[step - 1].occupied)
            heapq.heappush(heap, (-left[trial] * way[step].seconds, trial))
        return {trial: ways[trial][step] for trial, step in taken.items()}

    def _worth(self, present: Layout, layout: Layout) -> bool:
        ratio = present.seconds / layout.seconds
        return ratio >= _WORTH or ratio <= 1 / _WORTH


def _pipeline(base: TrialShape, stages: int, in_flight: int) -> TrialShape:
    return msgspec.structs.replace(
        base,
        stages=balanced(base.stages, stages),
        grain="micro",
        steps_per_task=1,
        in_flight=in_flight,
    )


def replicated(base: TrialShape, replicas: int) -> TrialShape:
    """Return the shape with so many replicas; each holds the whole model where the base did."""
    return msgspec.structs.replace(base, steps_per_task=1, replicas=replicas)


def _seconds(layout: Layout) -> float:
    return layout.seconds
