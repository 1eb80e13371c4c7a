"""Requests laid out as batches to come: in time, in order of deadline, in as few as can be."""

from __future__ import annotations

from collections.abc import Iterable

from gristmill.serve.scheduling.fleet import Fleet
from gristmill.serve.scheduling.request import Request


class Planned:
    """A batch to come.

    Attributes:
        requests: its members, the one that opened it first.
        count, work, nbytes: of all members.
        due: the earliest deadline of a member, as plans are made by.
        last: the latest.
        ahead: seconds of the batches before it, from when the line was begun.
        seconds: how long it should run.
    """

    __slots__ = ("ahead", "count", "due", "last", "nbytes", "requests", "seconds", "work")

    def __init__(self, request: Request, ahead: float, seconds: float) -> None:
        self.requests = [request]
        self.count, self.work, self.nbytes = request.count, request.work, request.nbytes
        self.due = self.last = request.due
        self.ahead, self.seconds = ahead, seconds

    @classmethod
    def of(cls, requests: list[Request], ahead: float, fleet: Fleet) -> Planned:
        """Return the batch of these requests, one at least."""
        batch = cls(requests[0], ahead, 0.0)
        for request in requests[1:]:
            batch.add(request, 0.0)
        batch.seconds = fleet.fixed + fleet.per_work * batch.work
        return batch

    def add(self, request: Request, seconds: float) -> None:
        """Take in another member; `seconds` is how long the batch should run then."""
        self.requests.append(request)
        self.count += request.count
        self.work += request.work
        self.nbytes += request.nbytes
        self.seconds = seconds
        if request.due < self.due:
            self.due = request.due
        if request.due > self.last:
            self.last = request.due


def lay_out(
    requests: Iterable[Request],
    fleet: Fleet,
    now: float,
    rows: int,
    work: float,
    skipped: list[Request] | None = None,
) -> tuple[list[Planned], Request | None]:
    """Lay requests, sorted by deadline, out as batches whose members are all in time.

    Greedy: a request joins the last batch if all in it stay in time, else it opens the next one.
    With one replica that finds an order whenever there is one, as far as requests of one row go.
    In order of deadline (which is optimal for batches with a set-up time: Webster and Baker 1995)
    the first j requests end after m x fixed + their work, so the fewest batches m are best; a
    batch that starts later in the line has a later deadline and more room, so cutting as late as
    possible gives the fewest. Requests of many rows would have to be packed into full batches as
    into bins, which is hard and worth a set-up time at most: they are not.

    Args:
        requests: sorted by deadline; no one larger than a batch.
        fleet: tells when batches start and how long they take.
        now: seconds.
        rows, work: most of a batch; a row that is more work than that runs alone.
        skipped: takes the requests that have no place, so that those behind them can have one.

    Returns:
        The batches, and the first request that has no place (without `skipped` nothing behind it
        is looked at).
    """
    batches: list[Planned] = []
    fixed, per_work, noise = fleet.fixed, fleet.per_work, fleet.noise
    last: Planned | None = None
    stuck: Request | None = None
    ahead, start = 0.0, fleet.start(0.0, now)
    for request in requests:
        if last is not None:
            total = last.work + request.work
            if last.count + request.count <= rows and total <= work:
                seconds = fixed + per_work * total
                if start + seconds + noise * seconds**0.5 <= last.due:
                    last.add(request, seconds)
                    continue
            behind = ahead + last.seconds
            begin = fleet.start(behind, now)
        else:
            behind, begin = ahead, start
        seconds = fixed + per_work * request.work
        if begin + seconds + noise * seconds**0.5 > request.due:
            stuck = stuck or request
            if skipped is None:
                break
            skipped.append(request)
            continue
        ahead, start = behind, begin
        last = Planned(request, ahead, seconds)
        batches.append(last)
    return batches, stuck
