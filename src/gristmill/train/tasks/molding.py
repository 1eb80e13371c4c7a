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
from gristmill.train.tasks.merging import balanced
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import TrialShape

_WORTH = 1.05
"""Times shorter that one more device has to make a trial."""


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
    """

    def __init__(
        self,
        *,
        replicated: bool = False,
        pipelined: bool = True,
        most: int | None = None,
        fits: Callable[[TrialShape], bool] | None = None,
        slack: float = 1.0,
    ) -> None:
        self._replicated, self._pipelined = replicated, pipelined
        self._most, self._fits, self._slack = most, fits, slack
        self._base: dict[int, TrialShape] = {}
        self._layouts: dict[TrialShape, list[Layout]] = {}
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
        if base not in self._layouts:
            most = devices if self._most is None else min(self._most, devices)
            found = [Layout(1, CriticalPath(base).step, base)]
            for count in range(2, most + 1):
                best = min(self._candidates(base, count), key=_seconds, default=None)
                if best is not None and best.seconds * _WORTH < found[-1].seconds:
                    found.append(best)
            self._layouts[base] = found
        return self._layouts[base]

    def _candidates(self, base: TrialShape, count: int) -> Iterator[Layout]:
        for shape in self._shapes(base, count):
            if self._fits is None or self._fits(shape):
                yield Layout(count, CriticalPath(shape).step, shape)

    def _shapes(self, base: TrialShape, count: int) -> Iterator[TrialShape]:
        if base.replicas > 1:
            return
        if self._pipelined and 1 < count <= len(base.stages) and base.micro_batches > 1:
            stages = balanced(base.stages, count)
            depth = base.in_flight or count
            yield msgspec.structs.replace(
                base, stages=stages, grain="micro", steps_per_task=1, in_flight=depth
            )
        exact = base.replicable and base.micro_batches == count
        if exact or (self._replicated and base.micro_batches % count == 0):
            yield replicated(base, count)

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


def replicated(base: TrialShape, replicas: int) -> TrialShape:
    """Return the shape with so many replicas; each holds the whole model where the base did."""
    return msgspec.structs.replace(base, steps_per_task=1, replicas=replicas)


def _seconds(layout: Layout) -> float:
    return layout.seconds
