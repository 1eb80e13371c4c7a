"""The scheduler under a virtual clock: given arrivals and a latency, what would have happened."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gristmill.serve.scheduling.request import Batch, Refused, Request

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Policy(Protocol):
    """What the simulation drives: `Scheduler`, or another policy to compare it with."""

    def offer(self, request: Request, now: float) -> Refused | None:
        """Let a request in, or say why not."""

    def next_batch(self, replica: int, now: float, idle: int = 1) -> Batch | None:
        """Take what a free replica shall run now."""

    def finished(self, batch: Batch, seconds: float, now: float) -> None:
        """Take note that a batch is done."""

    def shed(self, now: float) -> list[Request]:
        """Return the requests that were dropped."""

    def expiry(self) -> float:
        """Return when to ask again (`shed`, then `next_batch`) if nothing happens before."""


def _at_once() -> float:
    return 0.0


class Overheads(NamedTuple):
    """What passes around batches in a server and is no part of any batch; each draws seconds.

    Attributes:
        hearing: from when a request is due to when the policy is offered it: the client, the
            network, the event loop.
        starting: from when a replica is free and something waits to when the batch is handed out;
            what comes in between can still be in it.
        telling: from when the batch ends to when the client has its answer.
    """

    hearing: Callable[[], float] = _at_once
    starting: Callable[[], float] = _at_once
    telling: Callable[[], float] = _at_once


class Outcome(NamedTuple):
    """What became of each request, in the order of their arrival.

    Attributes:
        arrivals: float64[n], seconds.
        deadlines: float64[n], seconds.
        ends: float64[n], seconds: when it was answered, or refused.
        answered: bool[n].
        batches: rows of each batch that ran.
    """

    arrivals: NDArray[np.float64]
    deadlines: NDArray[np.float64]
    ends: NDArray[np.float64]
    answered: NDArray[np.bool_]
    batches: list[int]

    @property
    def in_time(self) -> NDArray[np.bool_]:
        """bool[n]: answered, by its deadline."""
        in_time: NDArray[np.bool_] = self.answered & (self.ends <= self.deadlines)
        return in_time

    def goodput(self) -> float:
        """Return answers in time per second of arrivals."""
        return float(self.in_time.sum() / max(np.ptp(self.arrivals), 1e-9))

    def late_share(self) -> float:
        """Return the share of the answers that came after their deadline."""
        return float(1.0 - self.in_time.sum() / max(self.answered.sum(), 1))

    def latency(self, quantile: float) -> float:
        """Return a quantile of the seconds from arrival to answer; NaN without an answer."""
        took = (self.ends - self.arrivals)[self.answered]
        return float(np.quantile(took, quantile)) if len(took) else float("nan")


def simulate(
    policy: Policy,
    requests: Sequence[Request],
    arrivals: Iterable[float],
    latency: Callable[[Batch], float],
    replicas: int = 1,
    overheads: Overheads | None = None,
) -> Outcome:
    """Run a policy over given arrivals.

    Args:
        policy: new; it is used up.
        requests: in the order of their arrival.
        arrivals: when each comes, ascending; seconds.
        latency: seconds that a batch takes, drawn when it starts.
        replicas: how many run batches.
        overheads: of the server around the batches; none by default.
    """
    came = np.asarray(arrivals, np.float64)
    return _Run(policy, requests, came, latency, replicas, overheads or Overheads()).run()


class _Run:
    """One simulation. Events at the same time: batches end, then requests come, then timers."""

    def __init__(
        self,
        policy: Policy,
        requests: Sequence[Request],
        arrivals: NDArray[np.float64],
        latency: Callable[[Batch], float],
        replicas: int,
        overheads: Overheads,
    ) -> None:
        self.policy, self.requests, self.latency = policy, requests, latency
        self.arrivals, self.overheads = arrivals, overheads
        self.places = {id(request): place for place, request in enumerate(requests)}
        self.left = [request.count for request in requests]
        self.ends = np.full(len(requests), np.nan)
        self.answered = np.zeros(len(requests), np.bool_)
        self.idle = list(range(replicas))
        self.running: list[tuple[float, int, Batch, float]] = []
        self.batches: list[int] = []
        self.turn = float("inf")

    def run(self) -> Outcome:
        heard = self.arrivals + [self.overheads.hearing() for _ in self.requests]
        order = np.argsort(heard, kind="stable")
        coming, now = 0, 0.0
        places, times = order.tolist(), heard[order].tolist()
        while True:
            arrival = times[coming] if coming < len(times) else float("inf")
            end = self.running[0][0] if self.running else float("inf")
            now = min(arrival, end, self._timer(now))
            if now == float("inf"):
                break
            if end == now:
                self._end(now)
            elif arrival == now:
                self._offer(self.requests[places[coming]], now)
                coming += 1
            self._drop(now)
            self._start(now)
        deadlines = np.array([request.deadline for request in self.requests])
        return Outcome(self.arrivals, deadlines, self.ends, self.answered, self.batches)

    def _timer(self, now: float) -> float:
        """Return when to go on if nothing comes or ends: at the turn, else as the policy says."""
        return self.turn if self.turn < float("inf") else max(self.policy.expiry(), now)

    def _offer(self, request: Request, now: float) -> None:
        if self.policy.offer(request, now) is not None:
            self.ends[self.places[id(request)]] = now

    def _drop(self, now: float) -> None:
        for request in self.policy.shed(now):
            place = self.places[id(request)]
            self.ends[place] = now
            self.left[place] = -1

    def _start(self, now: float) -> None:
        """Hand out batches, a turn of the server after it could be done first."""
        if self.turn == float("inf") and self.idle:
            self.turn = now + self.overheads.starting()
        if self.turn > now:
            return
        self.turn = float("inf")
        while self.idle:
            batch = self.policy.next_batch(self.idle[0], now, len(self.idle))
            if batch is None:
                return
            self.idle.pop(0)
            seconds = self.latency(batch)
            self.batches.append(batch.count)
            heapq.heappush(self.running, (now + seconds, len(self.batches), batch, seconds))

    def _end(self, now: float) -> None:
        _, _, batch, seconds = heapq.heappop(self.running)
        self.policy.finished(batch, seconds, now)
        self.idle.append(batch.replica)
        for request in batch.requests:
            place = self.places[id(request.whole or request)]
            self.left[place] -= request.count
            if self.left[place] == 0:
                self.ends[place], self.answered[place] = now + self.overheads.telling(), True
