"""Replicas in this process: one that runs in the event loop, one that has a thread, too."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from gristmill.serve.online.replica import Done
from gristmill.serve.runners.rows import Rows
from gristmill.serve.runners.work import total_work

if TYPE_CHECKING:
    from gristmill.serve.online.replica import Replica
    from gristmill.serve.runners.runner import Runner

_INLINE_SECONDS = 5e-4
"""A batch that takes longer than this would keep the event loop from reading requests; handing one
to a thread costs a tenth of it, and several times that where the core has to be woken up."""
_TRIES = 3
_CLOSE_SECONDS = 5.0


class InlineReplica:
    """Runs batches in the event loop, which waits: for models that take well under a millisecond.

    Args:
        runner: maps rows to answers.
        rank: which of the copies it is.
    """

    depth = 1

    def __init__(self, runner: Callable[[Rows], Rows], rank: int = 0) -> None:
        self.runner, self.rank = runner, rank

    def start(self, rows: Rows, done: Done) -> None:
        """Run one batch; `done` is called before this returns."""
        outcome, seconds = _timed(self.runner, rows)
        done(outcome, seconds)

    async def close(self) -> None:
        """There is nothing to end."""


class ThreadReplica:
    """Runs batches in a thread of its own, started on first use; quick ones in the event loop.

    A daemon: a model that hangs cannot keep the process from ending.

    Args:
        runner: maps rows to answers; one call at a time.
        rank: which of the copies it is.
        is_quick: whether a batch takes well under a millisecond; by default none does.
    """

    depth = 1

    def __init__(
        self,
        runner: Callable[[Rows], Rows],
        rank: int = 0,
        *,
        is_quick: Callable[[Rows], bool] | None = None,
    ) -> None:
        self.runner, self.rank = runner, rank
        self._is_quick = is_quick
        self._batches: SimpleQueue[tuple[Rows, Done] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    def start(self, rows: Rows, done: Done) -> None:
        """Run one batch, or hand it to the thread; `done` is called in the event loop."""
        if self._is_quick is not None and self._is_quick(rows):
            outcome, seconds = _timed(self.runner, rows)
            done(outcome, seconds)
            return
        if self._loop is None:
            self._begin()
        self._batches.put((rows, done))

    async def close(self) -> None:
        """End the thread after the batch that it runs; do not wait for one that hangs."""
        if self._ended is not None:
            self._batches.put(None)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _CLOSE_SECONDS)

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        name = f"gristmill-replica-{self.rank}"
        threading.Thread(
            target=self._run, args=(self._loop, self._ended), name=name, daemon=True
        ).start()

    def _run(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for these answers
            while batch := self._batches.get():
                rows, done = batch
                loop.call_soon_threadsafe(done, *_timed(self.runner, rows))
            loop.call_soon_threadsafe(ended.set)


def local_replica(runner: Runner, row: Rows, most: int) -> Replica:
    """Return the replica that suits a model: what takes well under a millisecond is run inline.

    That may be all batches, or only those with no more work than one row, as with pictures.

    Args:
        runner: maps rows to answers; it is run a few times.
        row: a sample.
        most: how many of them a full batch has.

    Raises:
        Exception: whatever the runner raises on them.
    """
    if _seconds(runner, Rows.concat([row] * most)) < _INLINE_SECONDS:
        return InlineReplica(runner)
    if _seconds(runner, row) >= _INLINE_SECONDS:
        return ThreadReplica(runner)
    quick = total_work(runner.work(row))
    return ThreadReplica(runner, is_quick=lambda rows: total_work(runner.work(rows)) <= quick)


def _seconds(runner: Runner, rows: Rows) -> float:
    """Return the least seconds of a few runs, the first one left out."""
    runner(rows)
    times = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        runner(rows)
        times.append(time.perf_counter() - began)
    return min(times)


def _timed(runner: Callable[[Rows], Rows], rows: Rows) -> tuple[Rows | Exception, float]:
    began = time.perf_counter()
    outcome: Rows | Exception
    try:
        outcome = runner(rows)
    except Exception as error:
        outcome = error
    return outcome, time.perf_counter() - began
