"""The scheduler, driven by the event loop: requests in, batches to replicas, answers out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gristmill.core.errors import ServeError
from gristmill.serve.online.asked import Asked, asked
from gristmill.serve.online.refused import refusal, stopping
from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.partial import PartlyAnswered
from gristmill.serve.runners.finite import are_finite
from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.request import Batch, Reason, Refused, Request
from gristmill.serve.scheduling.scheduler import Scheduler

if TYPE_CHECKING:
    from gristmill.serve.online.replica import Replica
    from gristmill.serve.scheduling.bounds import Bounds


class Tally:
    """What an engine has done.

    Attributes:
        answered, late: requests that were answered; those of them after their deadline.
        refused: requests by the code of their refusal.
        failed: requests that the model raised on.
        batches, rows: that ran.
        seconds: of the model.
    """

    def __init__(self) -> None:
        self.answered = self.late = self.failed = self.batches = self.rows = 0
        self.seconds = 0.0
        self.refused: dict[str, int] = {}

    def refuse(self, code: str) -> None:
        """Count a refusal."""
        self.refused[code] = self.refused.get(code, 0) + 1


class Engine:
    """Runs requests through replicas as a scheduler decides; belongs to one event loop.

    A replica that is free gets its batch one turn of the loop after the first request came, so
    that what was read in the same turn shares the batch. Answers that are ready go out even if
    they are late: the client decides.

    Args:
        replicas: what runs batches; closed with the engine.
        bounds: of batches and of the queue.
        clock: seconds; deadlines are on it.
        on_batch: told the rows and the model's seconds of every batch.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        bounds: Bounds,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self.replicas, self.clock, self.on_batch = list(replicas), clock, on_batch
        self.scheduler = Scheduler(bounds, len(self.replicas))
        # Counting bytes takes time and matters in long queues: a batch's worth goes uncounted.
        self._uncounted = bounds.batch_rows
        self.tally = Tally()
        self.closing = False
        # One place for each batch that may be under way; the second ones of a replica come last.
        depth = max(replica.depth for replica in self.replicas)
        ranks = [(level, rank) for level in range(depth) for rank in range(len(self.replicas))]
        self._free = [rank for level, rank in ranks if level < self.replicas[rank].depth]
        self._watched = False
        self._running: set[Batch] = set()
        self._waking = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._quiet: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Rows in the queue; those that run are not counted."""
        return self.scheduler.queue.count

    def submit(self, request: Asked) -> asyncio.Future[Rows]:
        """Let a request in; the future is told the answers, or why there are none.

        Whoever stops waiting for it calls `withdraw`. Raises as `admit`.
        """
        future: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        request.told = partial(_settle, future)
        self.admit(request)
        return future

    def admit(self, request: Asked) -> None:
        """Let a request in; its `told` hears once what becomes of it, after this has returned.

        Whoever stops waiting for it calls `withdraw`.

        Raises:
            Refusal: 503: not in time, queue full, or stopping; `told` may hear the first, too.
        """
        if self.closing:
            raise self._refused(stopping())
        if self.scheduler.queue.count >= self._uncounted:
            request.nbytes = request.rows.nbytes()
        if request.ran is not None:
            self._watched = True
        refused = self.scheduler.offer(request, self.clock())
        if refused is not None:
            raise self._refused(refusal(refused))
        if not self._waking:
            self._wake()

    def withdraw(self, request: Request) -> None:
        """Forget a request that nobody waits for any more."""
        asked(request).done = True
        self.scheduler.withdraw(request)
        self._settle()

    async def close(self, seconds: float = 5.0) -> None:
        """Refuse new requests, answer those that wait, end the replicas.

        What has no answer after `seconds` is refused.
        """
        if self.closing:
            return
        self.closing = True
        if self._busy():
            self._quiet = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._quiet], timeout=seconds)
        left = [each for batch in self._running for each in batch.requests]
        for request in [*left, *self.scheduler.queue]:
            self._fail(request, stopping())
        self.scheduler.queue.remove(set(self.scheduler.queue))
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*(replica.close() for replica in self.replicas))

    def _wake(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._waking = True
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Give every free replica a batch, if one is there; once a turn of the loop."""
        self._waking = False
        scheduler = self.scheduler
        now = self.clock()
        for rank in list(self._free):
            idle = min(len(self._free), len(self.replicas))
            batch = scheduler.next_batch(rank, now, idle)
            if batch is None:
                break
            self._free.remove(rank)
            self._start(batch)
        if scheduler.dropped:
            self._shed()
        if scheduler.queue.count:
            self._watch(now)

    def _start(self, batch: Batch) -> None:
        self._running.add(batch)
        requests = batch.requests
        if len(requests) == 1:
            whole = _rows(requests[0])
        else:
            whole = Rows.concat([_rows(request) for request in requests])
        self.replicas[batch.replica].start(whole, partial(self._finish, batch))

    def _finish(self, batch: Batch, outcome: Rows | Exception, seconds: float) -> None:
        answers = _checked(outcome, batch.count)
        if isinstance(answers, Exception):
            self._trouble(batch, answers, seconds)
            return
        now = self.clock()
        tally = self.tally
        tally.batches += 1
        tally.rows += batch.count
        tally.seconds += seconds
        for request in batch.requests:
            if request.deadline < now:
                tally.late += 1
        if len(batch.requests) > 1:  # one look for all: 1.5 us less for each of 32
            answers.finite = are_finite(answers)
        if self._watched:
            _tell(batch, seconds)
        try:
            # Answers go out first: what is to be noted takes a tenth of a quick model's time.
            self._deliver_all(batch.requests, answers)
        finally:
            self._end(batch, seconds, now)
        if self.on_batch is not None:
            self.on_batch(batch.count, seconds)

    def _end(self, batch: Batch, seconds: float, now: float) -> None:
        """Take the replica back, which was free at `now`."""
        # What counts is when the next batch can start; where batches queue up in a replica, only
        # the model's own time tells.
        alone = self.replicas[batch.replica].depth == 1
        self.scheduler.finished(batch, now - batch.began if alone else seconds, now)
        self._running.discard(batch)
        self._free.append(batch.replica)
        self._settle()

    def _settle(self) -> None:
        """Go on: a batch for the replica that is free, or word that nothing is left to do."""
        if self.scheduler.queue.count:
            if not self._waking:
                self._wake()
        elif self._quiet is not None and not self._quiet.done() and not self._busy():
            self._quiet.set_result(None)

    def _busy(self) -> bool:
        return bool(self.scheduler.queue.count or self._running)

    def _deliver_all(self, requests: Sequence[Request], answers: Rows) -> None:
        start = 0
        for request in requests:
            stop = start + request.count
            if asked(request).deliver(request, answers.take(start, stop)):
                self.tally.answered += 1
            start = stop

    def _trouble(self, batch: Batch, error: Exception, seconds: float) -> None:
        todo = self._split(batch.requests, error)
        self._retry(batch, todo, seconds)

    def _split(self, requests: list[Request], error: Exception) -> list[list[Request]]:
        """Return what of a batch that failed is to be run again: only what breaks it shall fail."""
        if len(requests) == 1 or isinstance(error, Refusal | PartlyAnswered):
            self._fail_all(requests, error)
            return []
        middle = len(requests) // 2
        return [requests[:middle], requests[middle:]]

    def _retry(self, batch: Batch, todo: list[list[Request]], seconds: float) -> None:
        """Run parts of a batch that failed, one after the other, then give the replica back."""
        while todo:
            requests = [each for each in todo.pop(0) if not asked(each).done]
            if requests:
                break
        else:
            self._end(batch, seconds, self.clock())
            return

        def done(outcome: Rows | Exception, _: float) -> None:
            checked = _checked(outcome, sum(each.count for each in requests))
            if isinstance(checked, Exception):
                todo[:0] = self._split(requests, checked)
            else:
                self._deliver_all(requests, checked)
            # Not at once: a replica that runs inline would go a level deeper with every part.
            asyncio.get_running_loop().call_soon(self._retry, batch, todo, seconds)

        rows = Rows.concat([_rows(each) for each in requests])
        self.replicas[batch.replica].start(rows, done)

    def _fail_all(self, requests: Sequence[Request], error: Exception) -> None:
        start = 0
        for request in requests:
            outcome: Rows | Exception = error
            if isinstance(error, PartlyAnswered):
                outcome = error.of(start, start + request.count)
            start += request.count
            if isinstance(outcome, Exception):
                self._fail(request, outcome)
            else:
                self._deliver_all([request], outcome)

    def _fail(self, request: Request, error: Exception) -> None:
        whole = asked(request)
        if whole.parts:
            self.scheduler.withdraw(whole)
        if whole.done:
            return
        if isinstance(error, Refusal):
            self._refused(error)
        else:
            self.tally.failed += 1
        whole.fail(error)

    def _refused(self, error: Refusal) -> Refusal:
        self.tally.refuse(error.code)
        return error

    def _shed(self) -> None:
        now = self.clock()
        dropped = self.scheduler.shed(now)
        wait = self.scheduler.wait(now) if dropped else 0.0
        for request in dropped:
            self._fail(request, refusal(Refused(Reason.LATE, wait)))

    def _watch(self, now: float) -> None:
        """See to it that requests are refused in time even if no replica comes back."""
        at = self.scheduler.expiry()
        if at >= self._timer_at or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(at - now, 0.0), self._expire)

    def _expire(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._shed()
        self._settle()


def _tell(batch: Batch, seconds: float) -> None:
    for request in batch.requests:
        ran = asked(request).ran
        if ran is not None:
            ran(batch.began, seconds, batch.count)


def _rows(request: Request) -> Rows:
    rows = asked(request).rows
    if request.whole is None:
        return rows
    return rows.take(request.first, request.first + request.count)


def _settle(future: asyncio.Future[Rows], outcome: Rows | Exception) -> None:
    if future.done():  # cancelled
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _checked(outcome: Rows | Exception, count: int) -> Rows | Exception:
    if isinstance(outcome, Exception) or outcome.count == count:
        return outcome
    return ServeError(f"the model gave {outcome.count} answers to {count} records")
