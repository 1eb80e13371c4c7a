"""A captured network at work on frames of one size, with what it costs on this machine."""

from __future__ import annotations

import threading
import time

import torch
from torch import Tensor

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.planning.calibration import calibrate
from gristmill.incremental.planning.explanation import Explained, explained
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.planning.planner import Planner
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.regions.region_set import RegionSet


class SizedModel:
    """Divides the network into units, measures them, and brings streams up to date.

    One frame at a time: streams that come from several threads take turns.

    Args:
        graph: the network.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        seconds: for measuring.

    Raises:
        UsageError: the network can't take frames of that size.
    """

    def __init__(self, graph: Graph, height: int, width: int, seconds: float) -> None:
        shape = (graph.input_shape[0], height, width)
        self._step = Step(graph, partition(graph, shape), shape)
        example = torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
        example = example.contiguous(memory_format=torch.channels_last)
        self._table = calibrate(self._step, example, Stopwatch(seconds))
        self._planner = Planner(self._step.units, self._table)
        self._outputs = graph.outputs
        self._everything = RegionSet.whole(height, width)
        self._lock = threading.Lock()

    @property
    def whole_seconds(self) -> float:
        """Seconds that a whole frame takes on this machine, as they were measured."""
        return self._table.whole

    def state(self) -> StreamState:
        """Return the state of a new stream."""
        return self._step.state()

    def advance(
        self, state: StreamState, frame: Tensor, changed: RegionSet, spent: float = 0.0
    ) -> Plan:
        """Bring a stream up to date; return what was done.

        Args:
            state: of the stream; one that is not current is computed in full.
            frame: float32 [1, channels, height, width]; read in the changed places only, and as a
                whole where all is computed.
            changed: places of the frame; not empty.
            spent: seconds that finding them took, which count when plans are judged.
        """
        with self._lock:
            began = time.perf_counter()
            planner = self._planner
            plan = planner.plan(changed) if state.current else planner.whole_frame(self._everything)
            if plan.whole:
                self._step.whole(state, frame)
            else:
                self._step.update(state, frame, changed, plan.orders)
            self._planner.observe(plan, spent + time.perf_counter() - began)
            return plan

    def outputs(self, state: StreamState) -> tuple[Tensor, ...]:
        """Return copies of what the network returns, from a current state."""
        return tuple(value.clone() for value in state.outputs(self._outputs))

    def explained(self, plan: Plan) -> list[Explained]:
        """Return what a plan does with each unit of the network, and what that costs."""
        return explained(self._step.units, self._table, plan)
