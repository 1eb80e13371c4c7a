"""One place in a set of replicas: it keeps its rank while the processes in it come and go."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from gristmill.serve.replicas.remote_replica import RemoteReplica
from gristmill.serve.replicas.task import Done, Task
from gristmill.serve.runners.rows import Rows


class ProcessReplica:
    """A `online.replica.Replica` whose model runs in a process of its own.

    Args:
        rank: which of the copies it is, from 0.
        depth: how many batches its process may hold at a time.
        submit: takes a batch that was started here.
        close: ends what is in this place.

    Attributes:
        process: the process in this place; None while it is being replaced.
        waiting: batches for it that it has no room for.
        vacant: set while there is no process.
        idle: set while no batch that was started here lacks its answer.
        answered_by: fingerprint of the model that gave the last answer; for `done` to read.
        problem: why there is no process and none could be started.
        lived: seconds that the last process in this place has lived.
    """

    def __init__(
        self,
        rank: int,
        depth: int,
        submit: Callable[[ProcessReplica, Task], None],
        close: Callable[[ProcessReplica], Awaitable[None]],
    ) -> None:
        self.rank, self.depth = rank, depth
        self.process: RemoteReplica | None = None
        self.waiting: deque[Task] = deque()
        self.vacant, self.idle = asyncio.Event(), asyncio.Event()
        self.vacant.set()
        self.idle.set()
        self.answered_by = ""
        self.problem: Exception | None = None
        self.lived = 0.0
        self._submit, self._close = submit, close
        self._held = 0

    @property
    def available(self) -> bool:
        """Whether there is a process: without one, a batch waits or runs in another place."""
        return self.process is not None

    def start(self, rows: Rows, done: Done) -> None:
        """Run one batch; never raises.

        `done` is called exactly once, in the event loop, possibly before this returns. It is told
        the answers, or a `PartlyAnswered` (some rows cost two processes or could not be computed:
        not to be run again), a `Refusal` (all of them did, or no replica is left), or what the
        model raised.
        """

        def told(outcome: Rows | Exception, seconds: float) -> None:
            self._held -= 1
            if not self._held:
                self.idle.set()
            self.answered_by = task.answered_by
            done(outcome, seconds)

        task = Task(rows, told)
        self._held += 1
        self.idle.clear()
        self._submit(self, task)

    def occupy(self, process: RemoteReplica) -> RemoteReplica | None:
        """Put a process in this place; return the one that was there."""
        before, self.process = self.process, process
        self.problem = None
        self.vacant.clear()
        return before

    def vacate(self) -> None:
        """Take in that the process in this place is gone."""
        if self.process is not None:
            self.lived = time.monotonic() - self.process.born
        self.process = None
        self.vacant.set()

    def withdraw(self) -> list[Task]:
        """Return the batches that wait here, which are run elsewhere or refused."""
        tasks = list(self.waiting)
        self.waiting.clear()
        return tasks

    async def close(self) -> None:
        """End it once its batches are answered; the last one of a set to be closed closes that."""
        await self._close(self)
