"""What a scheduler asks of whatever runs its tasks: worker processes, or a virtual clock."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from gristmill.train.tasks.task import Task


class Finished(NamedTuple):
    """A task ran on a device from `start` to `end`, in seconds of the executor's clock."""

    task: Task
    device: int
    start: float
    end: float


class Failed(NamedTuple):
    """A task ended with an error; its device goes on."""

    task: Task
    device: int
    reason: str


class Lost(NamedTuple):
    """A device is gone, with all that waited or ran there; it sends no further events."""

    device: int


Event: TypeAlias = Finished | Failed | Lost


class Executor(Protocol):
    """Runs tasks on numbered devices, each device's in the order in which they were started."""

    def now(self) -> float:
        """Return the time in seconds."""
        ...

    def start(self, device: int, task: Task, *, ahead: bool) -> None:
        """Queue a task on a device.

        Args:
            device: number of the device.
            task: the task.
            ahead: the device is busy; the task begins by itself when those before it have ended,
                and its records should be brought up meanwhile. It may depend on a task before it
                in the same queue, so a failed task voids those of its trial behind it.
        """
        ...

    def recall(self, device: int, task: Task) -> bool:
        """Take back a task that was started ahead; say whether it has not begun and is gone."""
        ...

    def wait(self) -> list[Event]:
        """Wait for the next events and return them; an empty list if there are none yet."""
        ...
