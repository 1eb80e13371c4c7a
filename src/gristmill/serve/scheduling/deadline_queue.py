"""The line: requests that wait, as the batches in which they will run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter

from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.fleet import Fleet
from gristmill.serve.scheduling.layout import Planned, lay_out
from gristmill.serve.scheduling.request import Request

_BY_DEADLINE = attrgetter("due")
_ENOUGH = 1 / 64
"""A batch stops growing where its fixed part has fallen to this share of its time: more rows would
make all its requests wait for next to nothing."""
_LEAST_FIXED = 1e-4
"""Seconds that a batch costs around the model, for `_ENOUGH`; no fit knows them."""


class DeadlineQueue:
    """Waiting requests, earliest deadline first (Jackson 1955), as batches that are all in time.

    Nearly every request comes with the latest deadline so far: it joins the last batch or opens
    one behind it, in constant time. Any other is put in by laying the line out again.

    Args:
        bounds: of batches and of the queue.
        fleet: tells when batches start and how long they take.

    Attributes:
        batches: the line.
        count, work, nbytes: of all that wait.
        batch_work: most work of a batch, as far as more pays.
    """

    def __init__(self, bounds: Bounds, fleet: Fleet) -> None:
        self.bounds, self.fleet = bounds, fleet
        self.batches: deque[Planned] = deque()
        self.count, self.work, self.nbytes = 0, 0.0, 0
        self.batch_rows, self.batch_work = bounds.batch_rows, bounds.batch_work
        self._begun = 0.0

    def __iter__(self) -> Iterator[Request]:
        return chain.from_iterable(batch.requests for batch in self.batches)

    def refit(self) -> None:
        """Take over from the fleet up to which size a batch pays."""
        fixed, per_work = self.fleet.fixed, self.fleet.per_work
        if per_work > 0.0:
            enough = max(fixed, _LEAST_FIXED) * (1 / _ENOUGH - 1) / per_work
            self.batch_work = min(self.bounds.batch_work, enough)

    def fits(self, request: Request) -> bool:
        """Say whether the bounds let this request wait as well."""
        bounds = self.bounds
        return (
            self.count + request.count <= bounds.queue_rows
            and self.nbytes + request.nbytes <= bounds.queue_bytes
            and self.work + request.work <= bounds.queue_work
        )

    def append(self, request: Request, now: float) -> bool:
        """Put a request in the last batch or behind it if all stay in time; say whether.

        It is not if its deadline belongs further to the front: see `insert`.
        """
        fleet, batches, deadline = self.fleet, self.batches, request.due
        ahead = self._begun
        if batches:
            last = batches[-1]
            if deadline < last.last and len(batches) > 1:
                return False
            work = last.work + request.work
            if last.count + request.count <= self.batch_rows and work <= self.batch_work:
                seconds = fleet.fixed + fleet.per_work * work
                due = last.due if last.due < deadline else deadline
                start = fleet.start(last.ahead - ahead, now)
                if start + seconds + fleet.noise * seconds**0.5 <= due:
                    last.add(request, seconds)
                    self.count += request.count
                    self.work += request.work
                    self.nbytes += request.nbytes
                    return True
            if deadline < last.last:
                return False
            ahead = last.ahead + last.seconds
        seconds = fleet.fixed + fleet.per_work * request.work
        start = fleet.start(ahead - self._begun, now)
        if start + seconds + fleet.noise * seconds**0.5 > deadline:
            return False
        batches.append(Planned(request, ahead, seconds))
        self._count(request)
        return True

    def force(self, request: Request) -> None:
        """Put a request into an empty line, though by what is known it will be late."""
        probe = Planned(request, self._begun, self.fleet.fixed)
        probe.due = float("inf")
        self.batches.append(probe)
        self._count(request)

    def end(self, request: Request, now: float) -> float:
        """Return when a request would be done behind all that wait, at the earliest.

        By the means, and as if all batches were full.
        """
        rows, fleet = self.count + request.count, self.fleet
        batches = -(-rows // self.batch_rows)
        seconds = batches * fleet.fixed + (self.work + request.work) * fleet.per_work
        return fleet.start(seconds, now)

    def lay_out(
        self, requests: list[Request], now: float, skipped: list[Request] | None = None
    ) -> tuple[list[Planned], Request | None]:
        """Sort requests by deadline and lay them out: see `layout.lay_out`."""
        requests.sort(key=_BY_DEADLINE)
        return lay_out(requests, self.fleet, now, self.batch_rows, self.batch_work, skipped)

    def replace(self, batches: Sequence[Planned]) -> None:
        """Make this the line."""
        self.batches = deque(batches)
        self._begun = 0.0
        self.count = sum(batch.count for batch in batches)
        self.work = sum(batch.work for batch in batches)
        self.nbytes = sum(batch.nbytes for batch in batches)

    def late(self, now: float) -> bool:
        """Say whether some batch in the line would not be in time any more."""
        fleet, begun = self.fleet, self._begun
        for batch in self.batches:
            if fleet.start(batch.ahead - begun, now) + fleet.upper(batch.work) > batch.due:
                return True
        return False

    def pop(self, most: float) -> Planned:
        """Take the first batch out of the line, as it is to start now.

        It grows by what stands behind it, up to `most` work; if it has more itself, it is cut to
        that, but for the first request.
        """
        head = self.batches.popleft()
        if head.work > most and len(head.requests) > 1:
            head = self._cut(head, most)
        elif self.batches:
            self._absorb(head, min(most, self.batch_work))
        self._begun = self.batches[0].ahead if self.batches else 0.0
        self._uncount(head)
        return head

    def take(self, members: Sequence[Request]) -> Planned:
        """Take a batch of these, one at least, out of the line, as it is to start now."""
        self.remove(set(members))
        return Planned.of(list(members), 0.0, self.fleet)

    def remove(self, gone: set[Request]) -> None:
        """Take requests out of the line, those of them that are in it."""
        left, ahead = [], 0.0
        for batch in self.batches:
            stay = [each for each in batch.requests if each not in gone]
            if len(stay) < len(batch.requests):
                self._uncount(batch)
                if not stay:
                    continue
                batch = Planned.of(stay, ahead, self.fleet)
                self._count(batch)
            batch.ahead = ahead
            ahead += batch.seconds
            left.append(batch)
        self.batches, self._begun = deque(left), 0.0

    def _cut(self, head: Planned, most: float) -> Planned:
        work, stay = 0.0, 0
        for request in head.requests:
            work += request.work
            if stay and work > most:
                break
            stay += 1
        if stay == len(head.requests):
            return head
        kept = Planned.of(head.requests[:stay], head.ahead, self.fleet)
        ahead = head.ahead + kept.seconds
        self.batches.appendleft(Planned.of(head.requests[stay:], ahead, self.fleet))
        return kept

    def _absorb(self, head: Planned, most: float) -> None:
        while self.batches:
            behind = self.batches[0]
            taken = 0
            for request in behind.requests:
                work = head.work + request.work
                if head.count + request.count > self.batch_rows or work > most:
                    break
                head.add(request, 0.0)
                taken += 1
            if taken < len(behind.requests):
                if taken:
                    rest = behind.requests[taken:]
                    self.batches[0] = Planned.of(rest, behind.ahead, self.fleet)
                return
            self.batches.popleft()

    def _count(self, added: Request | Planned) -> None:
        self.count += added.count
        self.work += added.work
        self.nbytes += added.nbytes

    def _uncount(self, gone: Planned) -> None:
        self.count -= gone.count
        self.nbytes -= gone.nbytes
        # No rounding errors may pile up over millions of requests.
        self.work = self.work - gone.work if self.count else 0.0
