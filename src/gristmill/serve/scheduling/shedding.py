"""Who goes when not all can be in time, and who runs before others go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from gristmill.serve.scheduling.deadline_queue import DeadlineQueue
from gristmill.serve.scheduling.layout import Planned
from gristmill.serve.scheduling.request import Request

_BY_PRIORITY = attrgetter("priority", "due")
_WASTEFUL = 1 / 32
"""A batch whose fixed part is a larger share of its time than this is worth the refusal of a
request, if another one takes its place."""


class Way(NamedTuple):
    """A line that is in time, and who had to go for it.

    Attributes:
        batches: the line.
        gone: requests that are in it no more; whole ones, where they were split.
    """

    batches: list[Planned]
    gone: list[Request]


def displace(queue: DeadlineQueue, newcomers: Sequence[Request], now: float) -> Way | None:
    """Return the line with newcomers in it, at the cost of requests of a larger priority number.

    As few go as will do: largest number first, then most work. None if all of them were not enough.
    """
    priority = newcomers[0].priority
    worse = {_whole(each): None for each in queue if each.priority > priority}
    ranked = sorted(worse, key=lambda each: (-each.priority, -each.work))
    too_few, step = 0, 1
    while ranked and (way := _without(queue, ranked[:step], newcomers, now)) is None:
        if step >= len(ranked):
            return None
        too_few, step = step, 2 * step
    best = way if ranked else None
    while step - too_few > 1:
        middle = (too_few + step) // 2
        way = _without(queue, ranked[:middle], newcomers, now)
        if way is None:
            too_few = middle
        else:
            best, step = way, middle
    return best


def repair(queue: DeadlineQueue, now: float) -> Way:
    """Return a line that is in time again, after a batch took longer than was thought.

    Those go who would be late even if they ran next; then those of the largest priority number
    among them that stand before one that has no place, or the one that has none.
    """
    start, upper = queue.fleet.start(0.0, now), queue.fleet.upper
    stay: list[Request] = []
    gone: list[Request] = []
    for request in queue:
        late = start + upper(request.work) > request.due
        (gone if late else stay).append(request)
    if len({each.priority for each in stay}) > 1:
        batches = _trim_worst(queue, stay, gone, now)
    else:
        batches, _ = queue.lay_out(stay, now, gone)
    return Way(batches, list({_whole(each): None for each in gone}))


def widen(
    queue: DeadlineQueue, most: Callable[[float], float], now: float, reach: int
) -> list[Request]:
    """Return those at the head of the line whose deadlines keep the first batch wastefully small.

    For use under overload, when the time they would take does others more good: as few as make
    the batch as large as can be, or large enough that its fixed part is small.

    Args:
        queue: the line.
        most: the most work that the replica does within some seconds; `LatencyModel.most`.
        now: when the batch starts.
        reach: the smallest priority number that may go.
    """
    fleet = queue.fleet
    if not fleet.per_work:
        return []
    enough = min(fleet.fixed * (1 / _WASTEFUL - 1) / fleet.per_work, queue.batch_work)
    line = list(islice(queue, 2 * queue.batch_rows))
    reach = max(reach, *(each.priority for each in line))
    best, go = 0.0, 0
    for place, (head, full) in enumerate(zip(line, _filled(line, queue.batch_rows), strict=True)):
        allowed = most(head.due - now)
        work = min(allowed, full, queue.batch_work)
        if work > best:
            best, go = work, place
        needed = head.priority < reach or head.whole is not None
        if needed or full <= best or allowed >= min(full, enough):
            break
    return line[:go]


def best_first(
    queue: DeadlineQueue,
    most: Callable[[float], float],
    limits: Mapping[int, float],
    now: float,
) -> list[Request]:
    """Return who runs next where smaller priority numbers go before earlier deadlines.

    Args:
        queue: the line; not empty.
        most: the most work that the replica does within some seconds; `LatencyModel.most`.
        limits: by priority number, the most work of a batch that has a member with it.
        now: when the batch starts.
    """
    members: list[Request] = []
    count, work, due, room = 0, 0.0, float("inf"), float("inf")
    for request in sorted(queue, key=_BY_PRIORITY):
        total = work + request.work
        tighter = most(request.due - now) if request.due < due else room
        if members:
            full = min(room, limits[request.priority], queue.batch_work)
            if count + request.count > queue.batch_rows or total > full:
                break
            if total > tighter:
                continue
        members.append(request)
        count, work = count + request.count, total
        due, room = min(due, request.due), tighter
    return members


def _filled(line: Sequence[Request], rows: int) -> Iterator[float]:
    """Yield for each place the work of a batch that begins there and takes in all it may."""
    end, count, work = 0, 0, 0.0
    for head in line:
        while end < len(line) and count + line[end].count <= rows:
            count += line[end].count
            work += line[end].work
            end += 1
        yield work
        count -= head.count
        work -= head.work


def _trim_worst(
    queue: DeadlineQueue, stay: list[Request], gone: list[Request], now: float
) -> list[Planned]:
    """Let requests go until all are in time, those of the largest priority number first."""
    fleet = queue.fleet
    while True:
        batches, stuck = queue.lay_out(stay, now)
        if stuck is None:
            return batches
        before = [*_members(batches), stuck]
        worst = max(each.priority for each in before)
        ranked = sorted((each for each in before if each.priority == worst), key=_by_work)
        # As much as this request is late by, at once: one by one takes long after a long stall.
        end = fleet.start(sum(each.seconds for each in batches), now) + fleet.upper(stuck.work)
        excess = end - stuck.due
        victims: set[Request] = set()
        while ranked and (excess > 0.0 or not victims):
            victims.add(ranked[-1])
            excess -= fleet.per_work * ranked.pop().work
        gone.extend(victims)
        stay = [each for each in stay if each not in victims]


def _without(
    queue: DeadlineQueue, gone: Sequence[Request], newcomers: Sequence[Request], now: float
) -> Way | None:
    out = set(gone)
    stay = [each for each in queue if _whole(each) not in out]
    stay.extend(newcomers)
    bounds = queue.bounds
    if (
        sum(each.count for each in stay) > bounds.queue_rows
        or sum(each.nbytes for each in stay) > bounds.queue_bytes
        or sum(each.work for each in stay) > bounds.queue_work
    ):
        return None
    batches, stuck = queue.lay_out(stay, now)
    return None if stuck else Way(batches, list(gone))


def _whole(request: Request) -> Request:
    return request.whole or request


def _members(batches: Iterable[Planned]) -> list[Request]:
    return [request for batch in batches for request in batch.requests]


def _by_work(request: Request) -> float:
    return request.work
