"""Brings records into the pool and writes them behind: what to move next, within the budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from gristmill.core.errors import TrainError
from gristmill.train.records.page import Page
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_file import Slot
from gristmill.train.records.record_store import RecordStore
from gristmill.train.records.rooms import Priority, Rooms
from gristmill.train.records.traffic import Direction, Flow, Traffic
from gristmill.train.records.transfers import Transfer, Transfers

AT_ONCE = 3
"""Transfers under way in each direction: two keep a disk busy, a third is ready to follow."""
_MARGIN = 8  # at least one part in eight of the pool is kept free or clean


class Listener(Protocol):
    """Who is told what happened to a record."""

    def arrived(self, page: Page) -> None:
        """It is in memory."""

    def written(self, page: Page) -> None:
        """Its newest contents are on disk."""

    def failed(self, page: Page, error: TrainError) -> None:
        """It could not be read or written."""


class PageMover:
    """Serves wants in the order of their priority; writes what will have to go.

    The first of the waiting records may have any room that is not pinned or in transfer; the others
    may only take what is free or needed later than they are, and only once those before them have
    theirs. So the first always gets its room when pins end, whatever was prefetched.

    Where all holes together would do but none alone, and nothing is pinned or under way, wanted
    records are packed together; the loop is made to poll once more first, so it can pin instead.

    Args:
        pool: the memory budget.
        store: owner of the files.
        transfers: what moves bytes.
        priority: (next use, turn) of a record.
        listener: told of arrivals, writes and failures.
        stub: move no bytes.
        verify: compare digests at every read, not only at the first.

    Attributes:
        traffic: bytes and seconds.
        waiting: records that are wanted and have no room.
        dirty: records whose contents on disk are old.
        total: bytes of all records, in memory or not.
        largest: bytes of the largest.
    """

    def __init__(
        self,
        pool: Pool,
        store: RecordStore,
        transfers: Transfers,
        priority: Callable[[Page], Priority],
        listener: Listener,
        *,
        stub: bool,
        verify: bool,
    ) -> None:
        self.traffic = Traffic()
        self.waiting: set[Page] = set()
        self.dirty: set[Page] = set()
        self.total = 0
        self.largest = 0
        self._pool, self._store, self._transfers = pool, store, transfers
        self._priority, self._listener = priority, listener
        self._stub, self._verify = stub, verify
        self._asked: set[Page] = set()
        self._rooms = Rooms(pool, priority)
        self._under_way: dict[Direction, int] = {"read": 0, "written": 0}
        self._jammed: Page | None = None

    def consider(self, page: Page) -> None:
        """Note whether a record waits for room."""
        if page.wanted and page.place == "away":
            self.waiting.add(page)
        else:
            self.waiting.discard(page)

    def poll(self) -> None:
        """Take note of what has ended, and start what can start."""
        jammed, self._jammed = self._jammed, None
        ended = self._transfers.ended()
        for transfer in ended:
            transfer.then(transfer)
        packing = jammed in self.waiting and not ended and self._quiet()
        if jammed is not None and packing:
            self._repack(jammed)
        # If packing did not help, packing once more will not either.
        self.pump(may_pack=not packing)

    def pump(self, *, may_pack: bool = True) -> None:
        """Start what can start."""
        self._jammed = None
        if self.waiting:
            self._bring_in(may_pack)
        if self._asked:
            self._write_asked()
        if self.dirty:
            self._write_behind()

    def ask(self, page: Page) -> None:
        """Write a record as soon as can be; it is not changed before."""
        page.flushing, page.stuck = True, False
        self._asked.add(page)

    def submit(self, transfer: Transfer) -> None:
        """Hand over a transfer that is not one of a record."""
        self._under_way[transfer.direction] += 1
        transfer.then = partial(self._other_ended, transfer.then)
        self._transfers.submit(transfer)

    def leave(self, page: Page) -> None:
        """Take a dropped record out of memory, now or when its transfer ends."""
        for pages in (self.waiting, self.dirty, self._asked):
            pages.discard(page)
        if page.place == "coming" or page.writing:
            return
        if page.place == "here":
            self._rooms.leave(page)
        self._store.discard(page.key, page.nbytes)

    # -- deciding

    def _bring_in(self, may_pack: bool) -> None:
        for rank, page in enumerate(sorted(self.waiting, key=self._priority)):
            if page.filled and self._under_way["read"] >= AT_ONCE:
                return
            if not self._rooms.enter(page) and not self._make_room(page, first=rank == 0):
                if rank == 0 and may_pack and self._quiet():
                    self._jammed = page
                    self._transfers.signal()
                return
            self._bring(page)

    def _make_room(self, page: Page, *, first: bool) -> bool:
        victims = self._rooms.victims(page, first=first)
        if victims is None or self._write_all(victims):
            return False
        for victim in victims:
            self._evict(victim)
        return self._rooms.enter(page)

    def _write_asked(self) -> None:
        if self._under_way["written"] < AT_ONCE:
            for page in sorted(self._asked, key=self._priority):
                self._write(page)

    def _write_behind(self) -> None:
        """Keep a part of the pool free or clean, if not all records fit it."""
        if self.total <= self._pool.nbytes or self._under_way["written"] >= AT_ONCE:
            return
        margin = min(self._pool.nbytes // 2, max(2 * self.largest, self._pool.nbytes // _MARGIN))
        ready = self._pool.free + sum(
            page.nbytes for page in self._rooms if not page.pins and (page.writing or page.on_disk)
        )
        for page in sorted(self.dirty, key=self._priority, reverse=True):
            if ready >= margin:
                return
            if not page.pins and page.writable:
                self._write(page)
                ready += page.nbytes

    def _repack(self, page: Page) -> None:
        offsets = self._rooms.repacked(page)
        leaving = [other for other in self._rooms if other.evictable]
        if offsets is None or self._write_all(leaving):
            return
        for other in leaving:
            self._evict(other)
        for other, offset in offsets.items():
            self._rooms.enter_at(other, offset)
            self._bring(other)

    def _quiet(self) -> bool:
        """Nothing is under way or pinned, so nothing but the loop can make room."""
        return not any(self._under_way.values()) and not any(page.pins for page in self._rooms)

    # -- doing

    def _evict(self, page: Page) -> None:
        self._rooms.leave(page)
        self.consider(page)

    def _bring(self, page: Page) -> None:
        self.waiting.discard(page)
        slot = page.file.latest
        if not page.filled or slot is None:
            page.place = "here"
            self._listener.arrived(page)
            return
        page.place = "coming"
        view = self._pool.view(page.offset, page.nbytes)
        digest = slot.digest if self._verify or not page.trusted else ""
        read = partial(page.file.blocks.read, slot.number, view, digest=digest)
        self._begin("read", _nothing if self._stub else read, partial(self._read_ended, page))

    def _write_all(self, pages: list[Page]) -> bool:
        """Start writing those that are not on disk; say whether there were any."""
        unwritten = [page for page in pages if not page.on_disk]
        for page in unwritten:
            self._write(page)
        return bool(unwritten)

    def _write(self, page: Page) -> None:
        if not page.writable or self._under_way["written"] >= AT_ONCE:
            return
        page.writing = True
        number = page.file.begin()
        view = self._pool.view(page.offset, page.nbytes)
        write = partial(page.file.blocks.write, number, view, hashed=page.durable)
        then = partial(self._write_ended, page, number, page.version)
        self._begin("written", _nothing if self._stub else write, then)

    def _begin(
        self, direction: Direction, run: Callable[[], str | None], then: Callable[[Transfer], None]
    ) -> None:
        self._under_way[direction] += 1
        self._flow(direction).begin(time.perf_counter())
        self._transfers.submit(Transfer(direction, run, then))

    def _flow(self, direction: Direction) -> Flow:
        return self.traffic.read if direction == "read" else self.traffic.written

    def _count(self, page: Page, transfer: Transfer) -> None:
        self._under_way[transfer.direction] -= 1
        moved = 0 if transfer.error or self._stub else page.nbytes
        self._flow(transfer.direction).end(time.perf_counter(), moved, transfer.processor_seconds)

    def _read_ended(self, page: Page, transfer: Transfer) -> None:
        self._count(page, transfer)
        page.place = "here"
        if page.dropped:
            self.leave(page)
        elif transfer.error:
            self._rooms.leave(page)
            page.wants.clear()
            self._listener.failed(page, transfer.error)
        else:
            page.trusted = True
            self._listener.arrived(page)

    def _write_ended(self, page: Page, number: int, version: int, transfer: Transfer) -> None:
        self._count(page, transfer)
        page.writing = False
        self._asked.discard(page)
        good = transfer.error is None and not page.dropped
        page.file.end(number, Slot(number, version, transfer.result or "") if good else None)
        if page.dropped:
            self.leave(page)
        elif transfer.error:
            page.stuck, page.flushing = True, False
            self._listener.failed(page, transfer.error)
        else:
            page.dirty = False
            page.trusted = True
            self.dirty.discard(page)
            self._listener.written(page)

    def _other_ended(self, then: Callable[[Transfer], None], transfer: Transfer) -> None:
        self._under_way[transfer.direction] -= 1
        then(transfer)


def _nothing() -> str:
    return ""
