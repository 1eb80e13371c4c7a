"""Requests that wait while the model is busy go through it together.

    submit ─▶ queue ─▶ batch of up to max_batch items ─▶ worker thread ─▶ each request's future

Work-conserving: an idle model starts at once with whatever is there; what arrives meanwhile
becomes the next batch. A request that would wait longer than the deadline is refused at the door,
and one whose wait turns out longer than expected is refused when the deadline passes.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from gristmill.core.errors import ServeError
from gristmill.core.quantities import format_seconds
from gristmill.serve.latency import LatencyModel
from gristmill.serve.refusal import Refusal

In = TypeVar("In")
Out = TypeVar("Out")


class _Job(Generic[In, Out]):
    """One request: its items, and its answers as they come in."""

    __slots__ = ("answers", "entered", "future", "items", "left", "taken")

    def __init__(
        self, items: Sequence[In], future: asyncio.Future[list[Out]], entered: float
    ) -> None:
        self.items, self.future, self.entered = items, future, entered
        self.taken, self.left = 0, len(items)
        self.answers: dict[int, Sequence[Out]] = {}


class _Slice(NamedTuple, Generic[In, Out]):
    """Items `start` to `stop` of a job, as they go through the model."""

    job: _Job[In, Out]
    start: int
    stop: int

    def items(self) -> Sequence[In]:
        return self.job.items[self.start : self.stop]


class Batcher(Generic[In, Out]):
    """Runs requests through a batch function in one worker thread.

    Args:
        run: maps n items to n outputs, in order; called in the worker thread, one call at a time.
        max_batch: most items of one call.
        max_queue: most items that may wait.
        deadline: seconds that a request may wait before its first item runs.
        on_batch: told the size and seconds of every batch, in the event loop.
        clock: seconds, monotonic.

    All methods but `run` belong to one event loop.
    """

    def __init__(
        self,
        run: Callable[[Sequence[In]], Sequence[Out]],
        *,
        max_batch: int = 64,
        max_queue: int = 4096,
        deadline: float = 2.0,
        on_batch: Callable[[int, float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run, self.max_batch, self.max_queue = run, max_batch, max_queue
        self.deadline, self.latency = deadline, LatencyModel()
        self._on_batch, self._clock = on_batch, clock
        self._queue: deque[_Job[In, Out]] = deque()
        self._waiting = 0
        self._running: tuple[int, float] | None = None
        self._starting = False
        self._timer: asyncio.TimerHandle | None = None
        self._worker = _Worker()
        self._idle: asyncio.Future[None] | None = None
        self.closing = False

    @property
    def waiting(self) -> int:
        """Items in the queue, those of the running batch not counted."""
        return self._waiting

    async def submit(self, items: Sequence[In]) -> list[Out]:
        """Return the outputs of `items`, in order.

        Raises:
            Refusal: 503 with Retry-After, because the queue is full, the wait would be (or became)
                longer than the deadline, or the server is stopping.
            Exception: whatever `run` raised on these items.
        """
        if not items:
            return []
        loop = asyncio.get_running_loop()
        self._admit(len(items))
        job: _Job[In, Out] = _Job(items, loop.create_future(), self._clock())
        self._queue.append(job)
        self._waiting += len(items)
        self._wake(loop)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._withdraw(job)
            raise

    async def close(self, seconds: float = 5.0) -> None:
        """Refuse new requests, answer those that wait, end the worker thread.

        A model that has not come back after `seconds` is left to end with the process.
        """
        self.closing = True
        if self._running or self._queue:
            self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._idle], timeout=seconds)
        self._worker.stop(wait=self._running is None)

    def estimated_wait(self) -> float:
        """Return the seconds until an item that arrives now would start."""
        full, rest = divmod(self._waiting, self.max_batch)
        ahead = full * self.latency.seconds(self.max_batch) + self.latency.seconds(rest)
        if self._running is None:
            return ahead
        size, began = self._running
        return ahead + max(self.latency.seconds(size) - (self._clock() - began), 0.0)

    def _admit(self, count: int) -> None:
        if self.closing:
            raise Refusal(503, "stopping", "the server is stopping", headers=_retry_after(1.0))
        wait = self.estimated_wait()
        if self._waiting + count > self.max_queue:
            raise Refusal(
                503,
                "queue_full",
                f"{self._waiting} records wait; with {count} more the queue would pass its bound "
                f"of {self.max_queue}",
                headers=_retry_after(wait),
            )
        if wait > self.deadline:
            raise self._too_late(f"a request would wait about {format_seconds(wait)} now", wait)

    def _too_late(self, what: str, wait: float) -> Refusal:
        text = f"{what}, longer than the {format_seconds(self.deadline)} allowed"
        return Refusal(503, "overloaded", text, headers=_retry_after(wait))

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._running is None and not self._starting:
            # One turn of the loop later: requests read in this turn share the batch.
            self._starting = True
            loop.call_soon(self._start, loop)
        if self._timer is None:
            self._timer = loop.call_later(self.deadline, self._expire, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._starting = False
        slices = self._take()
        if slices:
            self._running = sum(part.stop - part.start for part in slices), self._clock()
            self._worker.put(lambda: self._work(loop, slices))
        elif self._idle and not self._idle.done():
            self._idle.set_result(None)

    def _take(self) -> list[_Slice[In, Out]]:
        slices: list[_Slice[In, Out]] = []
        room = self.max_batch
        while room and self._queue:
            job = self._queue[0]
            stop = min(job.taken + room, len(job.items))
            slices.append(_Slice(job, job.taken, stop))
            room -= stop - job.taken
            self._waiting -= stop - job.taken
            job.taken = stop
            if stop == len(job.items):
                self._queue.popleft()
        return slices

    def _work(self, loop: asyncio.AbstractEventLoop, slices: list[_Slice[In, Out]]) -> None:
        """Run one batch; in the worker thread."""
        began = self._clock()
        outcomes = self._outcomes(slices)
        seconds = self._clock() - began
        with suppress(RuntimeError):  # the loop is closed: nobody waits for these answers
            loop.call_soon_threadsafe(self._finish, loop, slices, outcomes, seconds)

    def _outcomes(self, slices: list[_Slice[In, Out]]) -> list[Sequence[Out] | Exception]:
        items = [item for part in slices for item in part.items()]
        try:
            outputs = self.run(items)
            _check_count(outputs, items)
        except Exception as error:
            if len(slices) == 1:
                return [error]
            # Only the request that breaks the model may fail: each one runs alone.
            return [self._outcomes([part])[0] for part in slices]
        ends = iter(outputs)
        return [[next(ends) for _ in range(part.start, part.stop)] for part in slices]

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        slices: list[_Slice[In, Out]],
        outcomes: list[Sequence[Out] | Exception],
        seconds: float,
    ) -> None:
        size = sum(part.stop - part.start for part in slices)
        self._running = None
        self.latency.observe(size, seconds)
        if self._on_batch:
            self._on_batch(size, seconds)
        for part, outcome in zip(slices, outcomes, strict=True):
            self._deliver(part, outcome)
        self._start(loop)

    def _deliver(self, part: _Slice[In, Out], outcome: Sequence[Out] | Exception) -> None:
        job = part.job
        if job.future.done():
            return
        if isinstance(outcome, Exception):
            self._withdraw(job)
            job.future.set_exception(outcome)
            return
        job.answers[part.start] = outcome
        job.left -= part.stop - part.start
        if not job.left:
            job.future.set_result([answer for part in job.answers.values() for answer in part])

    def _withdraw(self, job: _Job[In, Out]) -> None:
        if job.taken < len(job.items) and job in self._queue:
            self._queue.remove(job)
            self._waiting -= len(job.items) - job.taken

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Refuse what has waited past the deadline without being started."""
        now = self._clock()
        for job in [job for job in self._queue if not job.taken]:
            waited = now - job.entered
            if waited >= self.deadline:
                self._withdraw(job)
                if not job.future.done():
                    said = f"the request waited {format_seconds(waited)}"
                    job.future.set_exception(self._too_late(said, self.estimated_wait()))
        left = [job.entered + self.deadline - now for job in self._queue if not job.taken]
        delay = max(min(left, default=self.deadline), 1e-3)
        self._timer = loop.call_later(delay, self._expire, loop) if self._queue else None


class _Worker:
    """A thread that runs what it is handed, in order; started on first use.

    A daemon, so that a model that hangs cannot keep the process from ending.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, call: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="gristmill-batch", daemon=True)
            self._thread.start()
        self._calls.put(call)

    def stop(self, wait: bool) -> None:
        self._calls.put(None)
        if wait and self._thread:
            self._thread.join()

    def _loop(self) -> None:
        while call := self._calls.get():
            call()


def _check_count(outputs: Sequence[object], items: Sequence[object]) -> None:
    if len(outputs) != len(items):
        raise ServeError(f"the model gave {len(outputs)} answers to {len(items)} records")


def _retry_after(seconds: float) -> list[tuple[str, str]]:
    return [("Retry-After", str(max(1, math.ceil(seconds))))]
