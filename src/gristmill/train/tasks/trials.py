"""The life of trials under a scheduler: added, paused, resumed, reshaped, failed, put back."""

from __future__ import annotations

from gristmill.core.errors import UsageError
from gristmill.train.tasks.device_slot import DeviceSlot
from gristmill.train.tasks.dispatch import Dispatch
from gristmill.train.tasks.gates import Gate
from gristmill.train.tasks.placement import in_turn_or_least_loaded, lane_seconds, round_robin
from gristmill.train.tasks.policies import Policy
from gristmill.train.tasks.standing import Standing, Status
from gristmill.train.tasks.task import Task
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import TrialShape
from gristmill.train.tasks.watcher import Watcher


class Trials:
    """Every trial's standing, and the changes from one status to another.

    Args:
        standings: where they are kept, by trial; `dispatch` reads the same mapping.
        slots: the devices that are there, by number.
        dispatch: starts what is ready.
        policy: gives pipelined trials their gate and their placement.
        watcher: is told of what happens.

    Attributes:
        active: numbers of the trials that are neither paused nor ended.
    """

    def __init__(
        self,
        standings: dict[int, Standing],
        slots: dict[int, DeviceSlot],
        dispatch: Dispatch,
        policy: Policy,
        watcher: Watcher,
    ) -> None:
        self._standings, self._slots = standings, slots
        self._dispatch, self._policy, self._watcher = dispatch, policy, watcher
        self._committed: dict[int, list[tuple[int, float]]] = {}
        self.active: set[int] = set()

    # asked for ---------------------------------------------------------------------------------

    def add(self, graph: TrialGraph) -> None:
        """Take a trial in.

        Raises:
            UsageError: it is here already.
        """
        known = self._standings.get(graph.trial)
        if known is not None and (known.in_flight or known.status in _HERE):
            raise UsageError(f"expected a trial that is not here, found {self._told(graph.trial)}")
        standing = self._standings[graph.trial] = Standing(graph)
        self.active.add(graph.trial)
        if graph.gate is None:
            graph.gate = self._gate(graph.shape)
        self._settle(standing)
        self._push(graph.ready())
        self.progress(standing)

    def pause(self, trial: int) -> None:
        """Stop a trial at its next step boundary."""
        standing = self._get(trial, "running")
        standing.pausing = True
        self._hold(standing)
        self.progress(standing)

    def resume(self, trial: int, until: int | None) -> None:
        """Let a paused trial go on, or one that was to pause."""
        standing = self._get(trial, "paused", "running")
        standing.status, standing.pausing = "running", False
        self.active.add(trial)
        if standing.wanted is not None:
            end = standing.graph.end
            standing.wanted = (standing.wanted[0], end if until is None else until)
        else:
            self._push(standing.graph.release(until))
        self.progress(standing)

    def stop(self, trial: int) -> None:
        """End a trial now."""
        self._end(self._get(trial, *_HERE), "stopped")

    def want(self, trial: int, shape: TrialShape) -> None:
        """Change a trial's shape at its next step boundary."""
        standing = self._get(trial, "running")
        until = standing.wanted[1] if standing.wanted else standing.graph.until
        standing.wanted = (shape, until)
        self._hold(standing)
        self.progress(standing)

    def get(self, trial: int) -> Standing:
        """Return a trial's standing.

        Raises:
            UsageError: there is no such trial.
        """
        if trial not in self._standings:
            raise UsageError(f"expected a trial, one of {sorted(self._standings)}, found {trial}")
        return self._standings[trial]

    def _get(self, trial: int, *statuses: Status) -> Standing:
        standing = self.get(trial)
        if standing.status not in statuses:
            raise UsageError(
                f"expected a trial that is {' or '.join(statuses)}, found {self._told(trial)}"
            )
        return standing

    def _told(self, trial: int) -> str:
        return f"trial {trial}, which is {self._standings[trial].status}"

    # what happens ------------------------------------------------------------------------------

    def progress(self, standing: Standing) -> None:
        """Tell of a completed step; pause, reshape or end a trial that stands at a boundary."""
        graph = standing.graph
        if graph.completed > standing.reported and graph.settled:
            standing.reported = graph.completed
            self._watcher.on_step(graph.trial, graph.completed)
        if standing.status != "running" or not graph.at_boundary or standing.in_flight:
            return
        if graph.done:
            self._end(standing, "done")
            self._watcher.on_done(graph.trial)
            return
        if standing.wanted is not None:
            self._reshape(standing, *standing.wanted)
        if standing.pausing or graph.until <= graph.completed:
            standing.status, standing.pausing = "paused", False
            self.active.discard(graph.trial)
            self._watcher.on_paused(graph.trial)

    def fail(self, standing: Standing, reason: str) -> None:
        """Note that a trial has failed; the others go on."""
        standing.reason = reason
        self._end(standing, "failed")
        self._watcher.on_failed(standing.graph.trial, reason)

    def give_up(self, trial: int, reason: str) -> None:
        """End a trial as one that failed."""
        self.fail(self._get(trial, *_HERE), reason)

    def lose(self, device: int, instead: DeviceSlot | None = None) -> None:
        """Put back the trials whose unfinished step needed a device that is gone.

        Args:
            device: its number.
            instead: what has taken its place already.
        """
        slot = self._slots.pop(device)
        if instead is not None:
            self._slots[device] = instead
            self._dispatch.touch(device)
        here = [each for each in self._standings.values() if each.status in _HERE]
        hit = [each for each in here if each.depends_on(device)]
        for task, _ in slot.queue:
            self._standings[task.trial].in_flight.pop(task, None)
        for standing in here:
            standing.lanes = [None if each == device else each for each in standing.lanes]
        for standing in hit:
            standing.status = "lost"
            self._abandon(standing)
        for standing in here:
            if standing not in hit and standing.placed and None in standing.lanes:
                self._settle(standing)
        for standing in hit:
            self.put_back(standing)

    def put_back(self, standing: Standing) -> None:
        """Restart a trial that lost a device, once nothing of it is in flight."""
        if standing.status != "lost" or standing.in_flight:
            return
        graph = standing.graph
        step = self._watcher.on_lost(graph.trial, graph.completed)
        graph.restart(step)
        standing.status, standing.reported = "running", min(standing.reported, step)
        self._settle(standing)
        self._push(graph.ready())
        self.progress(standing)

    def _push(self, tasks: list[Task]) -> None:
        for task in tasks:
            self._dispatch.push(task)

    def _hold(self, standing: Standing) -> None:
        """Begin no further step, taking back one that was only queued."""
        if not standing.in_flight:
            for task in standing.graph.withdraw():
                self._dispatch.queue.drop(task)
        standing.graph.hold()

    def _reshape(self, standing: Standing, shape: TrialShape, until: int) -> None:
        standing.wanted = None
        standing.graph.reshape(shape, self._gate(shape))
        self._settle(standing)
        if standing.pausing:
            standing.graph.until = until
        else:
            self._push(standing.graph.release(until))

    def _gate(self, shape: TrialShape) -> Gate | None:
        micro = shape.grain == "micro"
        return self._policy.gate(shape, len(self._slots)) if micro else None

    def _end(self, standing: Standing, status: Status) -> None:
        standing.status = status
        self._abandon(standing)
        self._unsettle(standing)
        self.active.discard(standing.graph.trial)

    def _abandon(self, standing: Standing) -> None:
        """Take back all tasks of a trial that have not begun."""
        for task in standing.graph.outstanding:
            self._dispatch.queue.drop(task)
        for task in list(standing.in_flight):
            self._dispatch.recall(task)
        standing.foreseen.clear()

    # devices of pipelines ----------------------------------------------------------------------

    def _settle(self, standing: Standing) -> None:
        """Give the stages of a pipelined trial their devices."""
        self._unsettle(standing)
        standing.clear_lanes()
        graph = standing.graph
        shape, left = graph.shape, graph.end - graph.completed
        self._dispatch.spills |= shape.spilled
        if shape.grain != "micro":
            return
        standing.placed = True
        loads = {number: slot.committed for number, slot in self._slots.items()}
        speeds = {number: slot.speed for number, slot in self._slots.items()}
        chosen = (
            round_robin(shape, sorted(loads))
            if self._policy.in_order
            else in_turn_or_least_loaded(shape, loads, speeds, left)
        )
        standing.lanes = list(chosen)
        work = [seconds * left for seconds in lane_seconds(shape)]
        self._committed[graph.trial] = list(zip(chosen, work, strict=True))
        longest = max(shape.seconds["forward"] + shape.seconds["backward"])
        for device, seconds in self._committed[graph.trial]:
            self._slots[device].committed += seconds
            self._slots[device].pipelines[graph.trial] = longest

    def _unsettle(self, standing: Standing) -> None:
        for device, seconds in self._committed.pop(standing.graph.trial, []):
            if device in self._slots:
                self._slots[device].committed -= seconds
                self._slots[device].pipelines.pop(standing.graph.trial, None)


_HERE: tuple[Status, ...] = ("running", "paused", "lost")
