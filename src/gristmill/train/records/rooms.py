"""Which record has which room of the pool, and who gives way to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gristmill.train.records.page import Page
from gristmill.train.records.placement import Run, cheapest_window, packed
from gristmill.train.records.pool import Pool

Priority = tuple[float, int]


class Rooms:
    """Gives rooms of a pool to records. It evicts nothing by itself: it says who would have to go.

    Args:
        pool: the memory budget.
        priority: (next use, turn) of a record; what is smaller comes first.
    """

    def __init__(self, pool: Pool, priority: Callable[[Page], Priority]) -> None:
        self.pool = pool
        self._priority = priority
        self._by_offset: dict[int, Page] = {}

    def __iter__(self) -> Iterator[Page]:
        return iter(self._by_offset.values())

    def enter(self, page: Page) -> bool:
        """Give a record room if there is a hole for it; say whether there was."""
        offset = self.pool.allocate(page.nbytes)
        if offset is None:
            return False
        self._put(page, offset)
        return True

    def enter_at(self, page: Page, offset: int) -> None:
        """Give a record the free room at `offset`."""
        self.pool.allocate_at(offset, page.nbytes)
        self._put(page, offset)

    def leave(self, page: Page) -> None:
        """Take the room of a record back."""
        self.pool.release(page.offset)
        del self._by_offset[page.offset]
        page.offset = -1
        page.place = "away"

    def victims(self, page: Page, *, first: bool) -> list[Page] | None:
        """Return the records that should go so that `page` fits; None if it must wait.

        A record that somebody waits for gives way only to one that comes before it. One that
        nobody waits for gives way to whatever is needed sooner, and to the `first` in the queue in
        any case: so that one never waits for more than pins and transfers to end.
        """
        mine = self._priority(page)
        runs = [
            self._run(self._by_offset[offset], mine, first) if taken else Run(offset, nbytes)
            for offset, nbytes, taken in self.pool.runs()
        ]
        window = cheapest_window(runs, page.nbytes)
        if window is None:
            return None
        return [self._by_offset[run.offset] for run in window if run.page >= 0]

    def repacked(self, page: Page) -> dict[Page, int] | None:
        """Return new offsets for `page` and the wanted records that come before it; None if no fit.

        For when nothing is pinned and holes between records that wait for `page` are the obstacle.
        Records that come after it have to go: all that are wanted need not fit at once.
        """
        mine = self._priority(page)
        before = [
            other
            for other in self
            if other.evictable and other.wanted and self._priority(other) < mine
        ]
        moving = [page, *before]
        fixed = [Run(other.offset, other.nbytes) for other in self if not other.evictable]
        offsets = packed(self.pool.nbytes, fixed, [other.nbytes for other in moving])
        return None if offsets is None else dict(zip(moving, offsets, strict=True))

    def _put(self, page: Page, offset: int) -> None:
        page.offset = offset
        self._by_offset[offset] = page

    def _run(self, page: Page, mine: Priority, first: bool) -> Run:
        offset, nbytes = page.offset, page.nbytes
        if not page.evictable:
            return Run(offset, nbytes, offset, 0.0, 0, True)
        theirs = self._priority(page)
        yields = theirs > mine if page.wanted else first or theirs[0] >= mine[0]
        return Run(offset, nbytes, offset, theirs[0], 0 if page.on_disk else nbytes, not yields)
