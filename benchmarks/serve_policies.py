"""How others decide what runs when: for `serve_overload.py`, under the same virtual clock."""

from __future__ import annotations

from collections import deque

from gristmill.serve.scheduling.request import Batch, Refused, Request


class FirstInFirstOut:
    """Nothing but a queue: no deadlines, no refusals; batches of what is there, up to `most`.

    With `most` 1 that is serving without batching.

    Args:
        most: rows of a batch.
        wait: seconds for which a batch that isn't full waits for more, from its first request on.
    """

    def __init__(self, most: int = 1, wait: float = 0.0) -> None:
        self.most, self.wait = most, wait
        self.queue: deque[Request] = deque()
        self.came: deque[float] = deque()
        self.busy = False

    def offer(self, request: Request, now: float) -> Refused | None:
        self.queue.append(request)
        self.came.append(now)
        return None

    def next_batch(self, replica: int, now: float, idle: int = 1) -> Batch | None:
        if not self.queue or (len(self.queue) < self.most and now < self.came[0] + self.wait):
            return None
        taken = [self._next() for _ in range(min(self.most, len(self.queue)))]
        self.busy = True
        count = sum(each.count for each in taken)
        return Batch(taken, count, sum(each.work for each in taken), replica, now)

    def finished(self, batch: Batch, seconds: float, now: float) -> None:
        self.busy = False

    def shed(self, now: float) -> list[Request]:
        return []

    def expiry(self) -> float:
        waits = self.came and not self.busy and len(self.queue) < self.most
        return self.came[0] + self.wait if waits else float("inf")

    def _next(self) -> Request:
        self.came.popleft()
        return self.queue.popleft()


class ClipperLike(FirstInFirstOut):
    """Clipper's (NSDI 2017): earliest deadline first, drop what has elapsed, AIMD batch size.

    The batch grows by one while its latency keeps within the objective, and shrinks by a tenth when
    it does not.

    Args:
        objective: seconds; all requests here have the same, so the queue is in order of deadline.
        most: rows of a batch, at most.
    """

    def __init__(self, objective: float, most: int) -> None:
        super().__init__(1)
        self.objective, self.limit, self.size = objective, most, 1.0
        self.dropped: list[Request] = []

    def next_batch(self, replica: int, now: float, idle: int = 1) -> Batch | None:
        while self.queue and self.queue[0].deadline <= now:
            self.dropped.append(self._next())
        self.most = max(int(self.size), 1)
        return super().next_batch(replica, now, idle)

    def finished(self, batch: Batch, seconds: float, now: float) -> None:
        super().finished(batch, seconds, now)
        grown = self.size + 1.0 if seconds <= self.objective else self.size * 0.9
        self.size = min(grown, float(self.limit))

    def shed(self, now: float) -> list[Request]:
        dropped, self.dropped = self.dropped, []
        return dropped
