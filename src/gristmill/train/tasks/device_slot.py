"""A device as the scheduler sees it: what runs there, what waits there, until when."""

from __future__ import annotations

from gristmill.train.tasks.task import TIED, Task


class DeviceSlot:
    """One running task and one waiting behind it, besides those that end the work on a stage.

    Norms, reductions and updates need no record that their backward did not, so they do not take
    the place whose purpose is to bring the next records up.

    Attributes:
        number, speed: of the device; speed 2 halves every task's seconds.
        queue: tasks started and not ended, the running one first.
        free_at: when the last of them is expected to end.
        listed: the `free_at` with which its empty waiting place was last offered.
        committed: seconds of work of the stages that are placed here for good.
        pipelines: the trials whose stages those are, and the seconds of their longest task here.
    """

    def __init__(self, number: int, speed: float) -> None:
        self.number, self.speed = number, speed
        self.queue: list[tuple[Task, float]] = []
        self.free_at = 0.0
        self.listed = -1.0
        self.committed = 0.0
        self.pipelines: dict[int, float] = {}
        self._counted = 0

    @property
    def idle(self) -> bool:
        """Whether nothing runs here."""
        return not self.queue

    @property
    def room(self) -> bool:
        """Whether a task may be started here, to run or to wait."""
        return self._counted < 2

    def add(self, task: Task, seconds: float, now: float) -> None:
        """Note a task that was started; `seconds` on a device of speed 1."""
        seconds /= self.speed
        self.free_at = max(self.free_at, now) + seconds
        self.queue.append((task, seconds))
        self._counted += task.kind not in TIED

    def remove(self, task: Task, now: float) -> None:
        """Note that a task ended or was taken back."""
        for place, (each, _) in enumerate(self.queue):
            if each == task:
                del self.queue[place]
                self._counted -= task.kind not in TIED
                break
        self.free_at = now + sum(seconds for _, seconds in self.queue)
