"""Giving ready tasks to devices: idle ones first, then the place that waits behind what runs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping

from gristmill.train.tasks.device_slot import DeviceSlot
from gristmill.train.tasks.executor import Executor
from gristmill.train.tasks.policies import Key
from gristmill.train.tasks.ready_queue import Entry, ReadyQueue, entry_of
from gristmill.train.tasks.standing import Standing
from gristmill.train.tasks.task import TIED, Task
from gristmill.train.tasks.trial_graph import TrialGraph

FIRST = float("-inf")

_BEGUN = 1e9
_URGENT = 1.5
"""Times a pipeline's remaining seconds that another trial needs to have left to hold it up."""


class Dispatch:
    """Keeps every device busy, and one task waiting behind the running one.

    A task may be started ahead before it is ready, behind the only task that it waits for, so that
    a lone trial's next records come up too. A device that would idle takes a ready task back from
    where it waits.

    Attributes:
        queue: what is ready and not started.
        spills: whether any trial's records have to be brought up.

    Args:
        standings: the trials by number.
        slots: the devices by number.
        executor: what runs the tasks.
        key: rank of a ready task; lower goes first.
        moving: seconds that moving a task's records to another device costs; None for nothing.
        ahead_below: a task whose records are at hand is started ahead only behind a task shorter
            than these seconds: the later the choice the better it is, the shorter the tasks the
            more handing one over counts.
        patience: a device that holds stages of a pipeline takes another trial's task only if that
            takes at most so many times the seconds of the pipeline's, or is far more urgent.
    """

    def __init__(
        self,
        standings: Mapping[int, Standing],
        slots: dict[int, DeviceSlot],
        executor: Executor,
        key: Key,
        *,
        moving: Callable[[Task], float] | None,
        ahead_below: float,
        patience: float,
    ) -> None:
        self.queue = ReadyQueue(moving)
        self.spills = False
        self._standings, self._slots, self._executor = standings, slots, executor
        self._key, self._ahead_below, self._patience = key, ahead_below, patience
        self._touched: set[int] = set(slots)
        self._idle: list[tuple[bool, float, int]] = []
        self._short: list[tuple[float, int]] = []
        self._waiting: list[tuple[Entry, int]] = []  # ready, unpinned, started ahead

    # what is ready -----------------------------------------------------------------------------

    def push(self, task: Task) -> None:
        """Queue a ready task, unless it was started before it was ready."""
        standing = self._standings[task.trial]
        if task in standing.foreseen:
            standing.foreseen.discard(task)
            return
        key = self._rank(standing.graph, task)
        pinned, home = standing.pinned(task), standing.lanes[standing.lane(task)]
        self.queue.push(task, key, pinned=pinned, home=home)
        if pinned is not None:
            self._touched.add(pinned)

    def _rank(self, graph: TrialGraph, task: Task) -> float:
        """Return the policy's key, less what a step that has begun goes before others for.

        A spilled trial is planned to have the activations of one step in memory: a device that
        began steps of several would hold those of all.
        """
        if task.kind in TIED:
            return FIRST
        key, shape = self._key(graph, task), graph.shape
        begins = task.kind == "forward" and task.stage == 0
        return key - _BEGUN if shape.spilled and shape.grain == "stage" and not begins else key

    def touch(self, device: int) -> None:
        """Look at a device again: something there has ended."""
        self._touched.add(device)

    def recall(self, task: Task) -> bool:
        """Take back a task that was started; say whether it had not begun."""
        standing = self._standings[task.trial]
        device = standing.in_flight[task]
        if not self._executor.recall(device, task):
            return False
        del standing.in_flight[task]
        standing.foreseen.discard(task)
        self._slots[device].remove(task, self._executor.now())
        self._touched.add(device)
        return True

    # filling -----------------------------------------------------------------------------------

    def fill(self) -> None:
        """Start whatever can be started.

        Free tasks go to devices that have none of their own first: so nothing idles that need not.
        """
        touched = [self._slots[each] for each in sorted(self._touched) if each in self._slots]
        for slot in touched:
            if slot.idle and self.queue.pinned(slot.number) is None:
                self._list_idle(slot)
        self._fill_idle()
        for slot in touched:
            self._serve_own(slot)
        for device in sorted(self._touched):
            if device in self._slots:
                self._serve_ahead(self._slots[device])
        self._touched.clear()
        self._fill_short()
        self._fill_from_waiting()
        self._forget()

    def _list_idle(self, slot: DeviceSlot) -> None:
        heapq.heappush(self._idle, (bool(slot.pipelines), -slot.speed, slot.number))

    def _forget(self) -> None:
        """Drop entries that are out of date, where they have become many."""
        most = 4 * len(self._slots) + 64
        if len(self._idle) > most:
            self._idle = sorted({each for each in self._idle if self._idles(each[2])})
        if len(self._short) > most:
            self._short = sorted({each for each in self._short if self._has_room(*each)})
        if len(self._waiting) > most:
            self._waiting = sorted(each for each in self._waiting if self._waits(*each))

    def _serve_own(self, slot: DeviceSlot) -> None:
        """Start what only this device may run, where nothing else ranks before it."""
        while (own := self.queue.pinned(slot.number)) is not None:
            urgent = own.key == FIRST
            if not urgent and not slot.idle:
                return
            best = own if urgent else self._allowed(slot, self.queue.free(slot.number), own)
            self._start(slot, best)

    def _allowed(self, slot: DeviceSlot, free: Entry | None, own: Entry) -> Entry:
        if free is None or own < free or self._too_long(slot, free):
            return own
        return free

    def _fill_idle(self) -> None:
        refused = []
        while self._idle and (entry := self.queue.free()) is not None:
            reserved, speed, number = heapq.heappop(self._idle)
            if not self._idles(number) or self.queue.pinned(number) is not None:
                continue
            slot = self._slots[number]
            slot = self._home(entry, slot)
            if slot.number != number:
                heapq.heappush(self._idle, (reserved, speed, number))
            else:
                entry = self.queue.free(number) or entry
            if self._too_long(slot, entry):
                refused.append((reserved, speed, number))
                continue
            self._start(slot, entry)
            self._touched.add(slot.number)
        for each in refused:
            heapq.heappush(self._idle, each)

    def _home(self, entry: Entry, slot: DeviceSlot) -> DeviceSlot:
        """Return the idle device that ran this task's stage last, or the slot proposed."""
        standing = self._standings[entry.task.trial]
        home = standing.lanes[standing.lane(entry.task)]
        there = None if home is None else self._slots.get(home)
        if there is None or not there.idle or self._too_long(there, entry):
            return slot
        if self.queue.pinned(there.number) is not None:
            return slot
        return there

    def _too_long(self, slot: DeviceSlot, entry: Entry) -> bool:
        """Say whether a free task would hold up a pipeline that this device is in."""
        if entry.pinned or not slot.pipelines:
            return False
        graph = self._standings[entry.task.trial].graph
        seconds, left = graph.seconds(entry.task), graph.remaining_path
        return any(
            seconds > self._patience * longest
            and left <= _URGENT * self._standings[trial].graph.remaining_path
            for trial, longest in slot.pipelines.items()
        )

    def _serve_ahead(self, slot: DeviceSlot) -> None:
        """Fill the waiting place of a busy device."""
        if slot.idle or not (self.spills or slot.queue[0][1] < self._ahead_below):
            return
        foreseen = self._foreseen(slot, slot.queue[0][0])
        for entry in foreseen:
            if entry.key == FIRST:
                self._start(slot, entry, ready=False)
        if not slot.room:
            return
        choices = [entry for entry in foreseen if entry.key != FIRST]
        ahead = min(choices, default=None)
        own, free = self.queue.pinned(slot.number), self.queue.free(slot.number)
        if free is not None and self._too_long(slot, free):
            free = None
        found = [each for each in (own, free, ahead) if each is not None]
        best = min((each for each in found if self._may_wait(slot, each.task)), default=None)
        if best is not None:
            self._start(slot, best, ready=best is not ahead)
        elif slot.free_at != slot.listed:
            slot.listed = slot.free_at
            heapq.heappush(self._short, (slot.free_at, slot.number))

    def _may_wait(self, slot: DeviceSlot, task: Task) -> bool:
        """Say whether it helps to start a task ahead.

        What follows the end of a step is not foreseen, so nothing is chosen before it is known.
        """
        head, seconds = slot.queue[0]
        short = seconds < self._ahead_below and head.kind in ("forward", "backward")
        return short or self._standings[task.trial].graph.shape.spilled

    def _foreseen(self, slot: DeviceSlot, head: Task) -> list[Entry]:
        """Return what will be ready here once the running task has ended."""
        standing = self._standings[head.trial]
        if standing.status != "running" or head in standing.foreseen:
            return []
        if not self._may_wait(slot, head):
            return []
        graph, found = standing.graph, []
        for task in graph.after(head):
            if task in standing.in_flight or not self._stays(standing, head, task, slot.number):
                continue
            key = self._rank(graph, task)
            found.append(entry_of(task, key, 0, pinned=True))
        return found

    def _stays(self, standing: Standing, head: Task, task: Task, device: int) -> bool:
        """Say whether a task that follows the running one may run on the same device."""
        if not standing.placed and task.stage == head.stage and task.replica == head.replica:
            return True
        return standing.pinned(task) in (None, device)

    def _fill_short(self) -> None:
        """Give ready tasks to the waiting places of the devices that will be free first."""
        while self._short and (entry := self.queue.free()) is not None:
            free_at, number = self._short[0]
            slot = self._slots.get(number)
            if slot is None or not self._has_room(free_at, number):
                heapq.heappop(self._short)
                continue
            if self._too_long(slot, entry) or not self._may_wait(slot, entry.task):
                return
            heapq.heappop(self._short)
            self._start(slot, self.queue.free(number) or entry)

    def _fill_from_waiting(self) -> None:
        """Let idle devices take ready tasks from where they wait."""
        while self._waiting and self._any_idle() and self.queue.free() is None:
            entry, device = self._waiting[0]
            slot = self._slots[self._idle[0][2]]
            if self._waits(entry, device) and self._too_long(slot, entry):
                return
            heapq.heappop(self._waiting)
            if self._waits(entry, device) and self.recall(entry.task):
                self._start(slot, entry)

    def _waits(self, entry: Entry, device: int) -> bool:
        """Say whether a task that was started ahead there has not begun."""
        slot, task = self._slots.get(device), entry.task
        here = self._standings[task.trial].in_flight.get(task) == device
        return slot is not None and here and slot.queue[0][0] != task

    def _has_room(self, free_at: float, device: int) -> bool:
        """Say whether a busy device, expected to be free then, has its waiting place empty."""
        slot = self._slots.get(device)
        return slot is not None and not slot.idle and slot.room and slot.free_at == free_at

    def _idles(self, device: int) -> bool:
        slot = self._slots.get(device)
        return slot is not None and slot.idle

    def _any_idle(self) -> bool:
        """Say whether a device idles, forgetting entries that are out of date."""
        while self._idle and not self._idles(self._idle[0][2]):
            heapq.heappop(self._idle)
        return bool(self._idle)

    def _start(self, slot: DeviceSlot, entry: Entry, *, ready: bool = True) -> None:
        task = entry.task
        standing = self._standings[task.trial]
        if ready:
            self.queue.take(entry)
        else:
            standing.foreseen.add(task)
        ahead = not slot.idle
        self._executor.start(slot.number, task, ahead=ahead)
        slot.add(task, standing.graph.seconds(task), self._executor.now())
        standing.in_flight[task] = slot.number
        if ahead and ready and not entry.pinned:
            heapq.heappush(self._waiting, (entry, slot.number))
