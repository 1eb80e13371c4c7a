"""Devices under a virtual clock: the scheduler that runs real workers, run ahead of them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from itertools import count

from gristmill.core.errors import TrainError
from gristmill.train.tasks.executor import Event, Failed, Finished, Lost
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.next_use import NEVER, next_use
from gristmill.train.tasks.residency import Key, Residency
from gristmill.train.tasks.task import ALL, Task
from gristmill.train.tasks.timeline import Traffic
from gristmill.train.tasks.trial_graph import TrialGraph


class Running:
    """A task that has begun: what is left of it, and since when at which pace."""

    __slots__ = ("left", "pace", "since", "start", "task", "token")

    def __init__(self, task: Task, start: float, seconds: float) -> None:
        self.task, self.start, self.since = task, start, start
        self.left, self.pace, self.token = seconds, 1.0, -1


class SimulatedDevices:
    """An executor whose tasks take the seconds that their graphs predict.

    A task begins when its device is free and its records are there; those of the tasks that wait
    are read meanwhile.

    Args:
        machine: the devices, memories and links.
        graphs: the trials by number, for seconds and bytes; may grow.
        failing: tasks that fail, with the reason.
        losing: devices that are lost, with the second.

    Attributes:
        traffic: bytes moved so far.
    """

    def __init__(
        self,
        machine: Machine,
        graphs: Mapping[int, TrialGraph],
        *,
        failing: Mapping[Task, str] | None = None,
        losing: Mapping[int, float] | None = None,
    ) -> None:
        self._machine, self._graphs = machine, graphs
        self._failing = {} if failing is None else failing
        self.traffic = Traffic()
        self._now = 0.0
        self._number = count()
        self._events: list[tuple[float, int, int]] = []  # second, token, device
        self._queues: list[deque[Task]] = [deque() for _ in machine.speeds]
        self._running: dict[int, Running] = {}
        self._made: dict[tuple[int, int, int], int] = {}  # (trial, replica, stage): last device
        self._below: dict[Key, tuple[int, float]] = {}
        memories = 1 if machine.shared else len(machine.speeds)
        self._memories = [
            Residency(machine, self._below, self._next_use, self.traffic) for _ in range(memories)
        ]
        self._pinned: dict[Task, list[Key]] = {}
        self._there: dict[Task, float] = {}  # when all records of a spilled task are there
        self._wanting: list[tuple[Task, int]] = []  # no room for their records yet
        for device, second in (losing or {}).items():
            heapq.heappush(self._events, (second, -1, device))

    # the executor's protocol -------------------------------------------------------------------

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def start(self, device: int, task: Task, *, ahead: bool) -> None:
        """Queue a task; its records begin to be read at once."""
        self._queues[device].append(task)
        self._fetch(task, device)
        self._begin(device)

    def recall(self, device: int, task: Task) -> bool:
        """Take back a task that has not begun."""
        running = self._running.get(device)
        if (running is not None and running.task == task) or task not in self._queues[device]:
            return False
        self._queues[device].remove(task)
        self._unpin(task, device, changed=False)
        self._begin(device)
        return True

    def wait(self) -> list[Event]:
        """Go on to the next moment at which something happens; return all of that moment.

        Raises:
            TrainError: tasks are queued, and nothing happens any more.
        """
        found: list[Event] = []
        while self._events and (not found or self._events[0][0] == self._now):
            second, token, device = heapq.heappop(self._events)
            running = self._running.get(device)
            if token == -1:
                self._now = second
                found.append(self._lose(device))
            elif running is not None and running.token == token:
                self._now = second
                found.append(self._end(device, running))
        if not found and any(self._queues):
            raise TrainError(
                "expected a task that runs, found none while tasks are queued",
                where="simulated devices",
                fix="report this: tasks wait for each other's memory",
            )
        for event in found:
            if not isinstance(event, Lost):
                self._begin(event.device)
        return found

    # one task ----------------------------------------------------------------------------------

    def _begin(self, device: int) -> None:
        """Begin the first task of a device's queue, if it is free and the records will be there."""
        queue = self._queues[device]
        if not queue or device in self._running:
            return
        task, wait = queue[0], 0.0
        graph, machine = self._graphs[task.trial], self._machine
        if graph.shape.spilled:
            if task not in self._there:
                return
            wait = max(self._there[task] - self._now, 0.0)
        seconds = graph.seconds(task) / machine.speeds[device] + machine.dispatch_seconds
        running = Running(task, self._now + wait, seconds + self._hop(task, device, graph))
        self._running[device] = running
        self._schedule(device, running)
        self._repace()

    def _schedule(self, device: int, running: Running) -> None:
        running.token = next(self._number)
        # Rounding must not let a new pace end a task before now.
        end = max(running.since + running.left * running.pace, self._now)
        heapq.heappush(self._events, (end, running.token, device))

    def _repace(self) -> None:
        """Let all running tasks go at the pace that the number of busy devices allows."""
        machine = self._machine
        if machine.contention == 1 or len(machine.speeds) == 1:
            return
        others = (len(self._running) - 1) / (len(machine.speeds) - 1)
        pace = 1 + (machine.contention - 1) * others
        for device, running in self._running.items():
            if running.pace != pace:
                past = max(self._now - running.since, 0.0)
                running.left -= past / running.pace
                running.since = max(self._now, running.since)
                running.pace = pace
                self._schedule(device, running)

    def _hop(self, task: Task, device: int, graph: TrialGraph) -> float:
        """Return the seconds to read the boundary value, if another device made it."""
        source = _SOURCES.get(task.kind)
        if source is None or not 0 <= (stage := task.stage + source) < graph.shape.depth:
            return 0.0
        made = self._made.get((task.trial, task.replica, stage), device)
        if made == device:
            return 0.0
        shape = graph.shape
        boundary = shape.stages[min(task.stage, stage)].boundary_bytes
        nbytes = boundary * (shape.share // shape.micros)
        self.traffic.hopped += nbytes
        return self._machine.hop_seconds + nbytes / self._machine.hop_bytes_per_second

    def _end(self, device: int, running: Running) -> Event:
        task = running.task
        del self._running[device]
        self._queues[device].popleft()
        reason = self._failing.get(task)
        # Replicas update parts of the same records: where they share a memory, that is one change.
        once = task.replica == 0 or not self._machine.shared
        updated = reason is None and once and task.kind in ("update", "step")
        self._unpin(task, device, changed=updated)
        self._repace()
        if reason is not None:
            self._drop_trial(device, task.trial)
            return Failed(task, device, reason)
        if task.kind in ("forward", "backward"):
            self._made[(task.trial, task.replica, task.stage)] = device
        return Finished(task, device, running.start, self._now)

    def _drop_trial(self, device: int, trial: int) -> None:
        queue = self._queues[device]
        dropped = [each for each in queue if each.trial == trial]
        self._queues[device] = deque(each for each in queue if each.trial != trial)
        for task in dropped:
            self._unpin(task, device, changed=False)

    def _lose(self, device: int) -> Event:
        self._running.pop(device, None)
        dropped, self._queues[device] = self._queues[device], deque()
        for task in dropped:
            self._unpin(task, device, changed=False)
        self._repace()
        return Lost(device)

    # records -----------------------------------------------------------------------------------

    def _needs(self, task: Task) -> dict[Key, tuple[int, int]]:
        """Return the records of a task: bytes and version by key."""
        shape = self._graphs[task.trial].shape
        sections = _SECTIONS.get(task.kind, ())
        numbers = range(len(shape.stages)) if task.stage == ALL else (task.stage,)
        sizes = {
            (task.trial, shape.first_shards[number], section): (
                shape.stages[number].weight_bytes
                if section == "weights"
                else shape.stages[number].state_bytes
            )
            for number in numbers
            for section in sections
        }
        return {key: (nbytes, task.step) for key, nbytes in sizes.items() if nbytes}

    def _fetch(self, task: Task, device: int) -> None:
        if not self._graphs[task.trial].shape.spilled:
            return
        # In the order of the device's queue, as `Pager` serves wants: could a task take the room
        # that one before it waits for, all of it might be held by tasks that can't begin yet.
        if all(place != device for _, place in self._wanting):
            needs = self._needs(task)
            there = self._memory(device).fetch(needs, self._now)
            if there is not None:
                self._there[task] = there
                self._pinned[task] = list(needs)
                return
        self._wanting.append((task, device))

    def _unpin(self, task: Task, device: int, *, changed: bool) -> None:
        if not self._graphs[task.trial].shape.spilled:
            return
        self._there.pop(task, None)
        if (keys := self._pinned.pop(task, None)) is not None:
            self._memory(device).release(keys, self._now, changed=changed)
        waiting, self._wanting = [each for each in self._wanting if each[0] != task], []
        for waiter, place in waiting:
            self._fetch(waiter, place)
            self._begin(place)

    def _memory(self, device: int) -> Residency:
        return self._memories[0 if self._machine.shared else device]

    def _next_use(self, key: Key) -> float:
        graph = self._graphs[key[0]]
        first = graph.shape.first_shards
        return next_use(graph, first.index(key[1]), key[2]) if key[1] in first else NEVER


_SECTIONS = {
    "forward": ("weights",),
    "backward": ("weights",),
    "gradient": ("weights",),
    "evaluate": ("weights",),
    "update": ("weights", "state"),
    "step": ("weights", "state"),
}
"""Records that a kind of task uses; norms and reductions use gradients only, which never leave."""

_SOURCES = {"forward": -1, "backward": 1}
"""Where the boundary value of a kind comes from: so many stages on."""
