"""Where each trial stands: its graph, its status, and which devices hold its unfinished step."""

from __future__ import annotations

from typing import Literal, TypeAlias

from gristmill.train.tasks.task import ALL, TIED, Task
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import TrialShape

Status: TypeAlias = Literal["running", "paused", "done", "stopped", "failed", "lost"]


class Standing:
    """What the scheduler keeps of one trial.

    Attributes:
        graph: its tasks.
        status: `running` also while it drains towards a pause; `lost` until what ran elsewhere
            when a device went has ended, and it can go back to its last good step.
        pausing: it is held, and pauses at the next step boundary.
        wanted: the shape to take at the next step boundary, and the step to hold at after it.
        lanes: for each lane (replica by replica, stage by stage) the device that last ran it, or
            that it is placed on for good.
        placed: whether lanes are placed for good: with grain `micro`.
        in_flight: tasks started and not ended, and where.
        foreseen: those of them that were started before they were ready, behind the task that
            they depend on.
        reported: the last completed step that was told.
        reason: why it failed.
    """

    def __init__(self, graph: TrialGraph) -> None:
        self.graph = graph
        self.status: Status = "running"
        self.pausing = False
        self.wanted: tuple[TrialShape, int] | None = None
        self.in_flight: dict[Task, int] = {}
        self.foreseen: set[Task] = set()
        self.reported = graph.completed
        self.reason = ""
        self.lanes: list[int | None] = []
        self.placed = False
        self.clear_lanes()

    def clear_lanes(self) -> None:
        """Forget where the trial ran."""
        self.lanes = [None] * (self.graph.shape.depth * self.graph.shape.replicas)
        self.placed = False

    def lane(self, task: Task) -> int:
        """Return the lane of a task."""
        stage = 0 if task.stage == ALL else task.stage
        return task.replica * self.graph.shape.depth + stage

    def pinned(self, task: Task) -> int | None:
        """Return the one device that may run a task, None where any may.

        Gradients and kept activations are private to the device that made them, partitions of the
        data to the one that they lie with.
        """
        if task.kind == "step" and self.graph.homes is not None:
            return self.graph.homes(task.step)[0]
        if (
            self.placed
            or task.kind in TIED
            or (task.kind == "backward" and not self.graph.shape.stages[task.stage].recomputed)
        ):
            return self.lanes[self.lane(task)]
        return None

    def ran(self, task: Task, device: int) -> None:
        """Note where a task ran."""
        if not self.placed and task.kind != "evaluate":
            self.lanes[self.lane(task)] = device

    def depends_on(self, device: int) -> bool:
        """Say whether the unfinished step has something on a device that is nowhere else."""
        if self.graph.at_boundary and not self.in_flight:
            return False
        if device in self.in_flight.values():
            return True
        return (self.placed or not self.graph.untouched) and device in self.lanes
