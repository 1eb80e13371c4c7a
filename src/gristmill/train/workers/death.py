"""What a worker's death means for training."""

from __future__ import annotations

import signal

from gristmill.core.errors import TrainError
from gristmill.core.processes.death import Death


class WorkerLostError(TrainError):
    """A worker process has ended before it was told to; `message` says why."""


class WorkerDeath(Death, frozen=True):
    """How a worker process ended.

    Attributes:
        with_nursery: whether the process that starts workers ended, which ends them all.
    """

    with_nursery: bool = False

    @property
    def reason(self) -> str:
        """The reason as one sentence's end: `was killed (SIGKILL)`."""
        if self.with_nursery:
            return "ended with the nursery process, which starts all workers and was killed"
        return super().reason

    @property
    def by_its_own_doing(self) -> bool:
        """Whether the work that it did may be to blame: it used up memory, crashed, or ended."""
        if self.with_nursery:
            return False
        return self.out_of_memory or self.exit_code != -signal.SIGKILL

    @property
    def fix(self) -> str | None:
        """What to do about it, where that is known."""
        if self.out_of_memory:
            return "give a smaller memory= budget, a smaller batch, more micro-batches"
        return None


WITH_NURSERY = WorkerDeath(-signal.SIGKILL, with_nursery=True)
"""How a worker ends of which the nursery could not say anything any more."""
