"""A captured network at work on frames of one size, with what it costs on this machine."""

from __future__ import annotations

import gc
import threading

import torch
from torch import Tensor

from gristmill.incremental.bounded.audit import Audit, decisive_error
from gristmill.incremental.bounded.bounded_step import BoundedStep
from gristmill.incremental.bounded.comparing_cost import ComparingCost
from gristmill.incremental.bounded.steering import Steering
from gristmill.incremental.execution.partition import STATE, partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.execution.whole import Whole
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.planning.calibration import calibrate
from gristmill.incremental.planning.explanation import Explained, explained
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.planning.planner import Planner
from gristmill.incremental.planning.stopwatch import Stopwatch, frame_clock
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet

_CACHED = 0.02
"""Seconds of whole frames beyond which it hardly matters whether memory that is written was just
used, and may still be in the cache.
"""


class SizedModel:
    """Divides the network into units, measures them, and brings streams up to date.

    One frame at a time: streams that come from several threads take turns.

    Args:
        graph: the network.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        seconds: for measuring.

    Attributes:
        clock: by which frames are timed, as those were that were measured.

    Raises:
        UsageError: the network can't take frames of that size.
    """

    def __init__(self, graph: Graph, height: int, width: int, seconds: float) -> None:
        self.clock = frame_clock()
        shape = (graph.input_shape[0], height, width)
        self._step = Step(graph, partition(graph, shape, state=STATE), shape)
        example = torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
        example = example.contiguous(memory_format=torch.channels_last)
        self._table = calibrate(self._step, example, Stopwatch(seconds))
        self._planner = Planner(self._step.units, self._table)
        for unit in self._step.units:
            for source in unit.sources:
                unit.reached(source, NOWHERE)  # has its table made before the first frame wants it
        self._outputs = graph.outputs
        self._alone = self._quicker(Whole(graph, shape, self._step.units), example)
        self._everything = RegionSet.whole(height, width)
        self._comparing: ComparingCost | None = None
        self._passed = self._planner.whole_frame(self._everything)
        self._lock = threading.Lock()
        if gc.isenabled():  # what capturing leaves behind; in a stream, it would stop a frame
            gc.collect()

    @property
    def whole_seconds(self) -> float:
        """Seconds that a whole frame takes on this machine, as they were measured."""
        return self._table.whole

    def state(self) -> StreamState:
        """Return the state of a new stream."""
        return self._step.state()

    def bounded(self, steering: Steering) -> BoundedStep:
        """Return what brings one stream up to date within thresholds, for `advance`.

        Args:
            steering: of the stream.
        """
        with self._lock:
            if self._comparing is None:
                self._comparing = ComparingCost.measured()
        return BoundedStep(self._step, self._planner, self._table, self._comparing, steering)

    def advance(
        self,
        state: StreamState,
        frame: Tensor,
        changed: RegionSet,
        spent: float = 0.0,
        bounded: BoundedStep | None = None,
    ) -> Plan:
        """Bring a stream up to date; return what was done.

        Args:
            state: of the stream; one that is not current is computed in full.
            frame: float32 [1, channels, height, width]; read in the changed places only, and as a
                whole where all is computed.
            changed: places of the frame; not empty.
            spent: seconds that finding them took, which count when plans are judged.
            bounded: what `bounded` has returned for the stream; None where it is exact.
        """
        with self._lock:
            clock = self.clock
            began = clock()
            # A first frame's memory is new, which other whole frames do not pay for: not observed.
            first = not state.current
            if bounded is not None:
                plan = bounded.advance(state, frame, changed)
                if not first:
                    bounded.observe(plan, spent + clock() - began)
                return plan
            planner = self._planner
            plan = planner.whole_frame(self._everything) if first else planner.plan(changed)
            if plan.whole:
                self._step.whole(state, frame)
            else:
                self._step.update(state, frame, changed, plan.orders)
            if not first:
                planner.observe(plan, spent + clock() - began)
            return plan

    def whole(self, state: StreamState, frame: Tensor, bounded: BoundedStep | None = None) -> Plan:
        """Compute what the network returns in full, whatever has changed; return what was done.

        Values may not be kept: then the next frame that is planned is a whole one, too.

        Args:
            state: of the stream.
            frame: float32 [1, channels, height, width] in channels-last memory; kept as it is.
            bounded: what `bounded` has returned for the stream; None where it is exact.
        """
        with self._lock:
            if bounded is not None:
                return bounded.whole(state, frame, self._everything)
            if self._alone is None:
                self._step.whole(state, frame)
            else:
                state.pass_over(frame, self._outputs, self._alone(frame))
            return self._passed

    def _quicker(self, whole: Whole, example: Tensor) -> Whole | None:
        """Return what lets go of values, if that takes less time than to keep them."""
        if self._table.whole > _CACHED:
            return None
        seconds = Stopwatch(_CACHED).measure(lambda: whole(example))
        return whole if seconds < self._table.whole else None

    def audit(self, state: StreamState, bounded: BoundedStep, picture: int) -> tuple[Plan, Audit]:
        """Compute a stream's reference in full; return what was done, and how far off it was.

        Args:
            state: of the stream, current; all its values are then those of the whole network.
            bounded: the stream's.
            picture: number of its last picture.
        """
        with self._lock:
            return bounded.audit(state, self._outputs, picture)

    def decisive_error(self, state: StreamState) -> float:
        """Return the error by which the best class of a current state may be another."""
        return decisive_error(state.outputs(self._outputs))

    def outputs(self, state: StreamState) -> tuple[Tensor, ...]:
        """Return copies of what the network returns, from a current state."""
        return tuple([value.clone() for value in state.outputs(self._outputs)])

    def explained(self, plan: Plan, *, unseen: bool) -> list[Explained]:
        """Return what a plan does with each unit of the network, and what that costs.

        Args:
            plan: of a picture.
            unseen: whether nobody has looked for its changes.
        """
        return explained(self._step.units, self._table, plan, unseen=unseen)
