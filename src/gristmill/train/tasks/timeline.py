"""What ran where and when, simulated or for real."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from gristmill.train.tasks.task import Task


class Interval(NamedTuple):
    """A task on a device, from `start` to `end` in seconds."""

    task: Task
    device: int
    start: float
    end: float


class Traffic(msgspec.Struct):
    """Bytes moved: records between disk and memory, values and records between memory and devices.

    Attributes:
        read, written: of records, from and to the disk.
        hopped: of boundary values that devices hand each other.
        up, down: of records, to devices' own memories and back.
    """

    read: int = 0
    written: int = 0
    hopped: int = 0
    up: int = 0
    down: int = 0


class Timeline:
    """Intervals in the order in which they ended.

    Args:
        devices: how many devices there are.
        keep: whether to keep every interval; without it only the sums, in constant memory.

    Attributes:
        tasks: how many ended.
        start, end: of the first and of the last, in seconds.
        traffic: bytes moved.
    """

    def __init__(self, devices: int, *, keep: bool = True) -> None:
        self.devices = devices
        self.keeps = keep
        self.tasks = 0
        self.start, self.end = float("inf"), 0.0
        self.traffic = Traffic()
        self._busy = [0.0] * devices
        self._tasks: list[Task] = []
        self._device = array("i")
        self._start, self._end = array("d"), array("d")

    def add(self, task: Task, device: int, start: float, end: float) -> None:
        """Note one interval."""
        self.tasks += 1
        self._busy[device] += end - start
        self.start = min(self.start, start)
        self.end = max(self.end, end)
        if self.keeps:
            self._tasks.append(task)
            self._device.append(device)
            self._start.append(start)
            self._end.append(end)

    def __iter__(self) -> Iterator[Interval]:
        return map(Interval, self._tasks, self._device, self._start, self._end)

    def __len__(self) -> int:
        return self.tasks

    @property
    def makespan(self) -> float:
        """Seconds from the first start to the last end."""
        return self.end - self.start if self.tasks else 0.0

    @property
    def busy(self) -> tuple[float, ...]:
        """Seconds in which each device ran tasks."""
        return tuple(self._busy)

    @property
    def utilisation(self) -> float:
        """Share of all devices' time in which they ran tasks, from 0 to 1."""
        span = self.makespan * self.devices
        return sum(self._busy) / span if span else 0.0

    def by_device(self) -> list[list[Interval]]:
        """Return the intervals of each device, by start."""
        rows: list[list[Interval]] = [[] for _ in range(self.devices)]
        for each in self:
            rows[each.device].append(each)
        return [sorted(row, key=lambda each: (each.start, each.end)) for row in rows]
