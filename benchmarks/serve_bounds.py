"""How much work could be done in time by one who knows all arrivals: for `serve_overload.py`.

`unreachable` is more than any schedule does, `foreseen` is what a schedule that was found does: the
best there is lies between them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_WIDTH = 24


class Machine(NamedTuple):
    """Seconds of a batch: `fixed + per_work x work`; `rows` at most in one."""

    fixed: float
    per_work: float
    rows: int


def unreachable(
    at: NDArray[np.float64], work: NDArray[np.float64], allowed: float, machine: Machine
) -> float:
    """Return an upper bound of the work that is done in time.

    A request costs at least its own time and its share of the set-up of a full batch. Let the
    machine stop and resume as it likes, and let parts of requests count. The times that can be
    given to requests within their windows [arrival, arrival + allowed] are then a polymatroid
    (between the i-th arrival and the j-th deadline no more than the time there is), on which it is
    best to be greedy: the most work per second first (Edmonds 1970).

    Args:
        at: arrivals, ascending; seconds.
        work: of each request.
        allowed: seconds from arrival to deadline, the same for all.
    """
    cost = machine.per_work * work + machine.fixed / machine.rows
    # With Y the running sum of the times given: a_j + allowed - Y_j, and Y_(i-1) - a_i. Their sum
    # is what is left between i and j.
    behind, before = at + allowed, -at
    done = 0.0
    for place in np.argsort(-work / cost, kind="stable").tolist():
        room = float(behind[place:].min() + before[: place + 1].min())
        given = min(float(cost[place]), max(room, 0.0))
        behind[place:] -= given
        before[place + 1 :] += given
        done += given / float(cost[place]) * float(work[place])
    return done


def foreseen(
    at: NDArray[np.float64], work: NDArray[np.float64], allowed: float, machine: Machine
) -> float:
    """Return the work done in time by the best schedule that was found, all arrivals known.

    Earliest deadline first: requests run in the order in which they came, neighbours together, and
    any may be given up. Of the ways to have dealt with the first i requests those are kept from
    which none is better in both work done and time (a beam of them, the most promising ones).
    """
    count, sums = len(at), np.concatenate([[0.0], np.cumsum(work)]).tolist()
    arrivals, rate = at.tolist(), machine.rows / (machine.fixed + machine.per_work * machine.rows)
    ways: list[list[tuple[float, float]]] = [[] for _ in range(count + 1)]
    ways[0].append((0.0, 0.0))
    for first in range(count):
        due = arrivals[first] + allowed
        for free, done in _best(ways[first], arrivals[first], rate):
            ways[first + 1].append((free, done))
            for end in range(first + 1, min(first + machine.rows, count) + 1):
                added = sums[end] - sums[first]
                begun = max(free, arrivals[end - 1])
                ready = begun + machine.fixed + machine.per_work * added
                if ready > due:
                    break
                ways[end].append((ready, done + added))
        ways[first] = []
    return max(done for _, done in ways[count])


def _best(ways: list[tuple[float, float]], now: float, rate: float) -> list[tuple[float, float]]:
    """Return the ways (free at, work done) that are worth going on with."""
    # Who is free before the next request comes is no better off than who is free when it comes.
    ranked = sorted(
        {(max(free, now), done) for free, done in ways}, key=lambda way: (way[0], -way[1])
    )
    kept: list[tuple[float, float]] = []
    for way in ranked:
        if not kept or way[1] > kept[-1][1]:
            kept.append(way)
    return sorted(kept, key=lambda way: way[0] * rate - way[1])[:_WIDTH]
