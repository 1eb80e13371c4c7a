"""Who is let in, which requests run together, and who is refused when not all can be in time."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.deadline_queue import DeadlineQueue
from gristmill.serve.scheduling.fleet import Fleet
from gristmill.serve.scheduling.latency import LatencyModel
from gristmill.serve.scheduling.layout import Planned
from gristmill.serve.scheduling.overload import Overload
from gristmill.serve.scheduling.request import Batch, Reason, Refused, Request
from gristmill.serve.scheduling.shedding import Way, best_first, displace, repair, widen

_PROBE_SECONDS = 1.0
_TURN = 0.5
"""Share of the time that some are given for a batch with others, who matter less."""
_AFTER = 1e-6
"""Seconds by which a deadline is passed for certain, whatever the rounding."""


class Scheduler:
    """Decides; runs nothing and knows no clock: every method is told the time.

    A request is let in when there is an order in which it and all that wait are answered in time
    by the latency models' upper estimates (one that has less time than that for itself alone: by
    the mean). When there is none, whoever waits with a larger priority
    number goes for it (largest number, then most work, first), else it is refused at once. That is
    overload, and lasts until that request's deadline or for a second: while it does, a batch that
    its most urgent members' deadlines would keep small, so that its fixed part is wasted on few,
    sheds those members, and more of the others are answered.

    A batch starts as soon as a replica is free, with the earliest deadlines; what was
    predicted wrongly is put right then, by refusing those that cannot be in time any more. Nobody
    waits past its deadline, so nobody starves: a request is answered, or refused by then.

    Priority decides who is refused, and under overload also who runs first: who was let in with a
    larger number would take the time of those who are still to come. And as a batch that runs
    cannot be called back, one with such members takes half the time at most that those who matter
    more are given: they come while it runs, and need as long after it.

    One request that no wait would help is let through a second when nothing else is there to
    do, so that a model which was slow once is measured again.

    Args:
        bounds: of batches and of the queue.
        replicas: how many run batches.

    Attributes:
        fleet: what is known of the replicas.
        queue: what waits.
        dropped: requests that were let in and dropped since; `shed` empties it.
    """

    def __init__(self, bounds: Bounds, replicas: int = 1) -> None:
        self.fleet = Fleet(replicas)
        self.queue = DeadlineQueue(bounds, self.fleet)
        self.dropped: list[Request] = []
        self._probe_at = float("-inf")
        self._overload = Overload()
        self._refused: Request | None = None

    def offer(self, request: Request, now: float) -> Refused | None:
        """Let a request in, or say why not; others may be dropped for it (see `shed`)."""
        queue = self.queue
        large = request.count > queue.batch_rows or request.work > queue.batch_work
        if large and request.count > 1:
            parts = request.split(queue.batch_rows, queue.batch_work)
            return self._squeeze(request, parts, now)
        if self._append(request, now):
            return None
        return self._squeeze(request, (request,), now)

    def next_batch(self, replica: int, now: float, idle: int = 1) -> Batch | None:
        """Take the batch that a free replica shall run now; None when nothing waits.

        Args:
            replica: its rank.
            now: seconds.
            idle: how many replicas are free, this one counted: they share what waits.
        """
        queue = self.queue
        if not queue.batches:
            return None
        if queue.late(now):
            self._repair(now)
            if not queue.batches:
                return None
        model = self.fleet.models[replica]
        share = max(queue.work / idle, model.paid()) if idle > 1 else float("inf")
        overloaded = now < self._overload.until
        if overloaded:
            planned = self._choose(model, share, now)
        else:
            planned = queue.pop(min(model.most(queue.batches[0].due - now), share))
        self._refused = None
        batch = Batch(planned.requests, planned.count, planned.work, replica, now)
        self.fleet.begin(batch)
        if overloaded and queue.late(now):
            self._repair(now)  # who was passed over, and is told at once
        return batch

    def finished(self, batch: Batch, seconds: float, now: float) -> None:
        """Take note that a batch is done, and that it took so many seconds."""
        if self.fleet.end(batch, seconds, now):
            self.queue.refit()

    def observe(self, replica: int, work: float, seconds: float) -> None:
        """Learn from a batch that ran before the server took requests."""
        self.fleet.observe(replica, work, seconds)
        self.queue.refit()

    def shed(self, now: float) -> list[Request]:
        """Return the requests that were dropped since the last call, or have to be by now."""
        if self.queue.late(now):
            self._repair(now)
        dropped, self.dropped = self.dropped, []
        return dropped

    def withdraw(self, request: Request) -> None:
        """Forget a request that nobody waits for any more; parts of it may be running."""
        self.queue.remove(set(request.parts) or {request})
        self._refused = None

    def expiry(self) -> float:
        """Return when to call `shed` if no batch ends before; infinity if nothing waits."""
        batches = self.queue.batches
        if not batches:
            return float("inf")
        return batches[0].due - self.fleet.upper(batches[0].work) + _AFTER

    def wait(self, now: float) -> float:
        """Return the seconds until what runs and waits now is done, by the means."""
        queue = self.queue
        full = -(-queue.count // queue.batch_rows)
        return (
            self.fleet.start(full * self.fleet.fixed + queue.work * self.fleet.per_work, now) - now
        )

    def _choose(self, model: LatencyModel, share: float, now: float) -> Planned:
        """Take the next batch under overload."""
        queue, overload = self.queue, self._overload
        limits = {
            number: min(share, model.most(_TURN * overload.given(number, now)))
            for number in {each.priority for each in queue}
        }
        if len(limits) > 1:
            return queue.take(best_first(queue, model.most, limits, now))
        (limit,) = limits.values()

        def most(seconds: float) -> float:
            return min(model.most(seconds), limit)

        self._drop(widen(queue, most, now, overload.reach))
        return queue.pop(most(queue.batches[0].due - now))

    def _squeeze(
        self, request: Request, newcomers: Sequence[Request], now: float
    ) -> Refused | None:
        """Find a place for what does not simply go to the end of the line."""
        if self._hopeless(request, newcomers, now):
            return self._probe(request, newcomers, now)
        if (
            self._forgo_margin(newcomers, now)
            and len(newcomers) == 1
            and self._append(request, now)
        ):
            return None
        self._overload.came(request, now)
        refused = self._refused
        if refused is None or request.priority < refused.priority or request.work < refused.work:
            way = self._way(request, newcomers, now)
            if way is not None:
                self.queue.replace(way.batches)
                self._drop(way.gone)
                return None
            # Laying the line out takes long when it is: once a batch has to do.
            self._refused = request
        queue = self.queue
        if not queue.fits(request):
            return Refused(Reason.FULL, self.wait(now))
        self._overload.refused(request, now)
        return Refused(Reason.LATE, max(queue.end(request, now) - request.deadline, 0.0))

    def _way(self, request: Request, newcomers: Sequence[Request], now: float) -> Way | None:
        queue = self.queue
        # Behind all others it may be late even if all batches were full: no need to try.
        last = not queue.batches or request.due >= queue.batches[-1].last
        tight = last and queue.end(request, now) > request.due
        if queue.fits(request) and not tight:
            batches, stuck = queue.lay_out([*queue, *newcomers], now)
            if stuck is None:
                return Way(batches, [])
        return displace(queue, newcomers, now)

    def _hopeless(self, request: Request, newcomers: Sequence[Request], now: float) -> bool:
        """Say whether it would be late, by the means, even if nothing else were there."""
        fleet = self.fleet
        shared = (len(newcomers) * fleet.fixed + request.work * fleet.per_work) / len(fleet.models)
        longest = fleet.fixed + fleet.per_work * max(each.work for each in newcomers)
        return now + max(shared, longest) > request.deadline

    def _append(self, request: Request, now: float) -> bool:
        return self.queue.fits(request) and self.queue.append(request, now)

    def _forgo_margin(self, newcomers: Sequence[Request], now: float) -> bool:
        """Plan without the margin for what would be late by it though nothing else were there.

        To refuse it would be to lose for certain what is likely to be in time. Says whether there
        is any.
        """
        fleet, found = self.fleet, False
        for each in newcomers:
            upper = fleet.upper(each.work)
            if now + upper > each.deadline:
                each.due = each.deadline + upper - fleet.fixed - fleet.per_work * each.work
                found = True
        return found

    def _probe(self, request: Request, newcomers: Sequence[Request], now: float) -> Refused | None:
        quiet = not self.queue.batches and self.fleet.idle()
        if request.deadline <= now or not quiet or now < self._probe_at:
            return Refused(Reason.HOPELESS, 0.0)
        self._probe_at = now + _PROBE_SECONDS
        for newcomer in newcomers:
            self.queue.force(newcomer)
        return None

    def _repair(self, now: float) -> None:
        way = repair(self.queue, now)
        self.queue.replace(way.batches)
        self._drop(way.gone)

    def _drop(self, gone: Sequence[Request]) -> None:
        if gone:
            # Parts of what goes stand in batches of their own.
            self.queue.remove({part for each in gone for part in (each, *each.parts)})
            self.dropped.extend(gone)
