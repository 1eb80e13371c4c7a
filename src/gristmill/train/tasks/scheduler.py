"""The event loop that places tasks on devices: the same for worker processes and the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.tasks.device_slot import DeviceSlot
from gristmill.train.tasks.dispatch import Dispatch
from gristmill.train.tasks.executor import Executor, Failed, Finished, Lost
from gristmill.train.tasks.policies import Policy, policy_of
from gristmill.train.tasks.standing import Standing
from gristmill.train.tasks.task import Task
from gristmill.train.tasks.timeline import Timeline
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import TrialShape
from gristmill.train.tasks.trials import Trials
from gristmill.train.tasks.watcher import Watcher

_REVIEW_SHARE = 0.02
"""Share of the remaining work after which shapes are looked at again."""


_STEP_ENDS = frozenset({"update", "step", "evaluate"})
"""Kinds after which a trial may stand at a step boundary."""


class Reshaper(Protocol):
    """Decides which trials should change their shape at their next step boundary."""

    def review(
        self, graphs: Mapping[int, TrialGraph], speeds: Mapping[int, float]
    ) -> Mapping[int, TrialShape]:
        """Return the shapes to take, of the trials that should change."""
        ...


class Scheduler:
    """Runs trials' graphs on devices.

    Args:
        graphs: the trials to begin with; more may be added while running.
        devices: the speed of each device (1 = what costs were measured on), or how many there are.
        policy: a policy or its name; see `policies`.
        executor: what runs the tasks.
        watcher: is told of steps, ends, failures.
        reshaper: changes shapes as the run goes; see `molding`.
        moving: seconds that it costs to move a task's records to another device than the one that
            has them; None where every device reaches them alike.
        ahead_below, patience: see `Dispatch`.
        timeline: where to note what ran; one that keeps every interval by default.
    """

    def __init__(
        self,
        graphs: Iterable[TrialGraph],
        devices: int | Iterable[float],
        policy: str | Policy,
        executor: Executor,
        *,
        watcher: Watcher | None = None,
        reshaper: Reshaper | None = None,
        moving: Callable[[Task], float] | None = None,
        ahead_below: float = 0.25,
        patience: float = 1.0,
        timeline: Timeline | None = None,
    ) -> None:
        speeds = [1.0] * devices if isinstance(devices, int) else list(devices)
        if not speeds or min(speeds) <= 0:
            raise UsageError(f"expected devices with speeds above 0, found {speeds}")
        self.policy = policy_of(policy)
        self.timeline = Timeline(len(speeds)) if timeline is None else timeline
        self._executor = executor
        self._watcher = Watcher() if watcher is None else watcher
        self._reshaper = reshaper
        self._slots = {number: DeviceSlot(number, speed) for number, speed in enumerate(speeds)}
        self._standings: dict[int, Standing] = {}
        self._dispatch = Dispatch(
            self._standings, self._slots, executor, self.policy.key,
            moving=moving, ahead_below=ahead_below, patience=patience,
        )  # fmt: skip
        self._trials = Trials(
            self._standings, self._slots, self._dispatch, self.policy, self._watcher
        )
        self._since_review, self._review_after = 0.0, 0.0
        self._last_lost: int | None = None
        for graph in graphs:
            self.add(graph)

    # trials come and go ------------------------------------------------------------------------

    def add(self, graph: TrialGraph) -> None:
        """Take a trial in; it runs with the others from the next event on.

        Raises:
            UsageError: a trial of that number is here and has not ended.
        """
        self._trials.add(graph)
        self._review_after = 0.0

    def pause(self, trial: int) -> None:
        """Stop a trial at its next step boundary; nothing of it is lost.

        Raises:
            UsageError: the trial is not running.
        """
        self._trials.pause(trial)

    def resume(self, trial: int, until: int | None = None) -> None:
        """Let a paused trial go on, to its end or up to a step.

        Raises:
            UsageError: the trial has ended, or there is none.
        """
        self._trials.resume(trial, until)
        self._review_after = 0.0

    def stop(self, trial: int) -> None:
        """End a trial now; what is in flight ends without effect.

        Raises:
            UsageError: the trial has ended, or there is none.
        """
        self._trials.stop(trial)
        self._review_after = 0.0

    def fail(self, trial: int, reason: str) -> None:
        """End a trial as one that failed; the watcher is told, and the others go on.

        Raises:
            UsageError: the trial has ended, or there is none.
        """
        self._trials.give_up(trial, reason)
        self._review_after = 0.0

    def reshape(self, trial: int, shape: TrialShape) -> None:
        """Give a trial another shape at its next step boundary.

        Raises:
            UsageError: the trial is not running.
        """
        self._trials.want(trial, shape)

    def status(self, trial: int) -> str:
        """Return `running`, `paused`, `done`, `stopped`, `failed` or `lost` (going back).

        Raises:
            UsageError: there is no such trial.
        """
        return self._trials.get(trial).status

    def graph(self, trial: int) -> TrialGraph:
        """Return the graph of a trial.

        Raises:
            UsageError: there is no such trial.
        """
        return self._trials.get(trial).graph

    def where(self, trial: int) -> tuple[int | None, ...]:
        """Return the device that last ran each stage, replica by replica; None for none yet.

        Raises:
            UsageError: there is no such trial.
        """
        return tuple(self._trials.get(trial).lanes)

    # devices -----------------------------------------------------------------------------------

    @property
    def devices(self) -> tuple[int, ...]:
        """Numbers of the devices that are there."""
        return tuple(sorted(self._slots.keys() - {self._last_lost}))

    def restore(self, device: int, speed: float = 1.0) -> None:
        """Use a device again that was lost.

        Raises:
            UsageError: it is there, or never was.
        """
        if device == self._last_lost:
            self._last_lost = None
            self._trials.lose(device, DeviceSlot(device, speed))
            self._review_after = 0.0
        elif device in self._slots or not 0 <= device < self.timeline.devices:
            raise UsageError(f"expected a device that was lost, found {device}")
        else:
            self._slots[device] = DeviceSlot(device, speed)
        self._dispatch.touch(device)

    # the loop ----------------------------------------------------------------------------------

    def run(self) -> Timeline:
        """Go on until every trial has ended or is paused.

        Raises:
            TrainError: no device is left, or trials wait for something that never comes.
        """
        while self.advance():
            pass
        return self.timeline

    def advance(self) -> bool:
        """Start what can be started, wait for the next events and take them in.

        Returns:
            Whether there is more to do.

        Raises:
            TrainError: as for `run`.
        """
        self._check_device()
        self._review()
        self._dispatch.fill()
        if not any(slot.queue for slot in self._slots.values()):
            self._check_stuck()
            return False
        for event in self._executor.wait():
            if isinstance(event, Finished):
                self._finished(event)
            elif isinstance(event, Failed):
                self._failed(event)
            else:
                self._lost(event)
        return True

    def _check_device(self) -> None:
        if self._last_lost is not None:
            raise TrainError(
                f"expected a device to go on with, found none: device {self._last_lost} was the "
                f"last",
                fix="resume: every trial goes on from its last committed step",
            )

    def _check_stuck(self) -> None:
        if self._trials.active:
            raise TrainError(
                f"expected a task that can run, found none while trials "
                f"{sorted(self._trials.active)} are not done",
                fix="report this: the scheduler or a gate waits for itself",
            )

    def _finished(self, event: Finished) -> None:
        standing = self._landed(event.task, event.device)
        if standing is None:
            return
        self.timeline.add(event.task, event.device, event.start, event.end)
        if standing.status != "running":
            self._trials.put_back(standing)
            return
        self._since_review += event.end - event.start
        standing.ran(event.task, event.device)
        ready = standing.graph.finish(event.task)
        for task in ready:
            self._dispatch.push(task)
        self._watcher.on_finished(event)
        if event.task.kind in _STEP_ENDS:
            self._trials.progress(standing)

    def _failed(self, event: Failed) -> None:
        standing = self._landed(event.task, event.device)
        if standing is None:
            return
        for task in [each for each, at in standing.in_flight.items() if at == event.device]:
            self._landed(task, event.device)  # the executor has dropped them
        if standing.status == "running":
            self._trials.fail(standing, event.reason)
            self._review_after = 0.0
        else:
            self._trials.put_back(standing)

    def _lost(self, event: Lost) -> None:
        if event.device not in self._slots:
            return
        if len(self._slots) == 1:  # it may be restored before the next `advance`
            self._last_lost = event.device
            return
        self._trials.lose(event.device)
        self._review_after = 0.0

    def _landed(self, task: Task, device: int) -> Standing | None:
        """Take a task off its device; None where it was not known to be there."""
        standing = self._standings.get(task.trial)
        if standing is None or standing.in_flight.get(task) != device:
            return None
        del standing.in_flight[task]
        self._slots[device].remove(task, self._executor.now())
        self._dispatch.touch(device)
        return standing

    def _review(self) -> None:
        """Let the reshaper look, whenever some share of the remaining work is done."""
        if self._reshaper is None or self._since_review < self._review_after:
            return
        graphs = {trial: self._standings[trial].graph for trial in sorted(self._trials.active)
                  if self._standings[trial].status == "running"}  # fmt: skip
        speeds = {number: slot.speed for number, slot in self._slots.items()}
        for trial, shape in self._reshaper.review(graphs, speeds).items():
            if self._standings[trial].wanted is None:
                self._trials.want(trial, shape)
        self._since_review = 0.0
        self._review_after = _REVIEW_SHARE * sum(
            graph.remaining_seconds for graph in graphs.values()
        )
