"""Which records make room for another: pure functions over the runs of a pool."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gristmill.train.records.free_space import FreeSpace


class Run(msgspec.Struct, frozen=True):
    """A hole of the pool, or the room of one record.

    Attributes:
        offset: first byte.
        nbytes: size.
        page: number of the record in it; -1 for a hole.
        next_use: when the record is needed next; infinite for a hole.
        unwritten: bytes that must be written before the room can be given away.
        fixed: the record must stay.
    """

    offset: int
    nbytes: int
    page: int = -1
    next_use: float = float("inf")
    unwritten: int = 0
    fixed: bool = False


def cheapest_window(runs: Sequence[Run], nbytes: int) -> list[Run] | None:
    """Return neighbouring runs of at least `nbytes` together that are the least loss to give up.

    The loss is that of the record needed soonest among them (Belady, A study of replacement
    algorithms for a virtual-storage computer, 1966: evict what is needed last), then the bytes
    that must be written, then the bytes evicted.

    Args:
        runs: all runs of the pool, by offset.
        nbytes: wanted.

    Returns:
        runs, none of them fixed; None where records that must stay are in the way everywhere.
    """
    window: list[Run] | None = None
    best_use, best_cost = float("-inf"), (0, 0)
    first = 0
    while first < len(runs):
        last, size, use = first, 0, float("inf")
        while size < nbytes and last < len(runs):
            run = runs[last]
            if run.fixed or run.next_use < best_use:
                break
            size += run.nbytes
            use = min(use, run.next_use)
            last += 1
        if size < nbytes:  # every window that begins before `last` meets the same obstacle
            first = last + 1
            continue
        found = runs[first:last]
        cost = _cost(found)
        if window is None or (-use, cost) < (-best_use, best_cost):
            window, best_use, best_cost = list(found), use, cost
        first += 1
    return window


def packed(nbytes: int, fixed: Sequence[Run], sizes: Sequence[int]) -> list[int] | None:
    """Return offsets for rooms of these sizes around the fixed runs; None if they do not fit so.

    The largest goes first, each into the smallest hole it fits. With nothing fixed the rooms lie
    one after another, so they fit whenever their sum does.
    """
    space = FreeSpace(nbytes)
    for run in fixed:
        space.take_at(run.offset, run.nbytes)
    offsets = [-1] * len(sizes)
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        offset = space.take(sizes[place])
        if offset is None:
            return None
        offsets[place] = offset
    return offsets


def _cost(window: Sequence[Run]) -> tuple[int, int]:
    unwritten = evicted = 0
    for run in window:
        unwritten += run.unwritten
        evicted += run.nbytes if run.page >= 0 else 0
    return unwritten, evicted
