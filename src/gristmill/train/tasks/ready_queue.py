"""Ready tasks in heaps: of each device that must run them, and of all that may run anywhere."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from gristmill.train.tasks.task import Task


class Entry(NamedTuple):
    """A ready task with its rank; the least goes first."""

    key: float
    kind: int  # 0 backward, 1 any other: the first tie-break
    trial: int  # so that trials of equal rank do not proceed in step, and idle together
    number: int  # of its arrival, so that no two entries are equal
    task: Task
    pinned: bool


def entry_of(task: Task, key: float, number: int, *, pinned: bool) -> Entry:
    """Return a task with its rank."""
    return Entry(key, 0 if task.kind == "backward" else 1, task.trial, number, task, pinned)


class ReadyQueue:
    """Finds the task that ranks first for a device, without a scan.

    Args:
        moving: the key's units (seconds) that a free task must rank ahead of one that has its
            records on the device, to go first there; None where moving costs nothing.
    """

    def __init__(self, moving: Callable[[Task], float] | None = None) -> None:
        self._moving = moving
        self._pinned: defaultdict[int, list[Entry]] = defaultdict(list)
        self._homed: defaultdict[int, list[Entry]] = defaultdict(list)
        self._free: list[Entry] = []
        self._waiting: dict[Task, int] = {}  # number of the entry that counts
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, task: Task, key: float, *, pinned: int | None, home: int | None) -> None:
        """Add a ready task that only the `pinned` device may run, or any, at best its `home`."""
        self._number += 1
        entry = entry_of(task, key, self._number, pinned=pinned is not None)
        self._waiting[task] = self._number
        if pinned is not None:
            heapq.heappush(self._pinned[pinned], entry)
            return
        heapq.heappush(self._free, entry)
        if self._moving is not None and home is not None:
            heapq.heappush(self._homed[home], entry)

    def take(self, entry: Entry) -> None:
        """Remove an entry that `top` or `free` gave."""
        self._waiting.pop(entry.task, None)

    def drop(self, task: Task) -> None:
        """Remove a task wherever it is."""
        self._waiting.pop(task, None)

    def top(self, device: int) -> Entry | None:
        """Return the entry that ranks first for a device, None where it has nothing to do."""
        own, free = self._first(self._pinned.get(device)), self.free(device)
        if own is None or (free is not None and free < own):
            return free
        return own

    def pinned(self, device: int) -> Entry | None:
        """Return the first entry that only this device may run."""
        return self._first(self._pinned.get(device))

    def free(self, device: int | None = None) -> Entry | None:
        """Return the first entry that any device may run; moving counts for the one named."""
        first = self._first(self._free)
        if first is None or self._moving is None or device is None:
            return first
        home = self._first(self._homed.get(device))
        near = home is not None and home.key <= first.key + self._moving(first.task)
        return home if near else first

    def _first(self, heap: list[Entry] | None) -> Entry | None:
        """Return the least entry that still waits, forgetting those that do not."""
        while heap:
            if self._waiting.get(heap[0].task) == heap[0].number:
                return heap[0]
            heapq.heappop(heap)
        return None
