"""Which records are in memory: brought in ahead of use, written behind, within the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Literal

from gristmill.core.closing import Closing
from gristmill.core.errors import TrainError, UsageError
from gristmill.core.quantities import format_bytes
from gristmill.train.records.key import Key, describe_key, whole_blocks
from gristmill.train.records.page import Page
from gristmill.train.records.page_event import PageEvent
from gristmill.train.records.page_mover import PageMover
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_store import RecordStore
from gristmill.train.records.rooms import Priority
from gristmill.train.records.saving import Savings
from gristmill.train.records.traffic import Traffic
from gristmill.train.records.transfers import ThreadedTransfers, Transfers

Source = Literal["made", "stored"]
Use = tuple[Key, int, bool]
"""(record, version that a task needs, whether the task may change it)."""


class Pager(Closing):
    """Moves records between a pool and the files of a store.

    One thread, an event loop, calls it. Nothing blocks but `close`: watch `fileno()` with
    `selectors`, and call `poll()` when it is readable.

    A record has one current version. `want` says that a version will be used, `pin` takes it for a
    task if it is in memory, `unpin` gives it back, changed or not. Wants are served strictly in the
    order of (`next_use`, first asked): a later want never takes room while an earlier one waits for
    it, and never evicts what an earlier one has got. Pin the records of a task together, by
    `pin_all`: tasks that hold some of theirs while they wait for more can wait for each other.

    Args:
        pool: the memory budget; nobody else may allocate in it.
        store: files and commits.
        transfers: what moves bytes; threads of its own by default.
        stub: move no bytes and commit nothing, and otherwise do the same: a run without its I/O.
        verify: compare digests whenever a record is read, not only the first time.

    Attributes:
        next_use: when a record is needed next, in any unit; set it. What is needed last is evicted
            first.
    """

    def __init__(
        self,
        pool: Pool,
        store: RecordStore,
        *,
        transfers: Transfers | None = None,
        stub: bool = False,
        verify: bool = False,
    ) -> None:
        self.next_use: Callable[[Key], float] = _unknown
        self._pool, self._store = pool, store
        self._transfers = transfers or ThreadedTransfers()
        self._mover = PageMover(
            pool, store, self._transfers, self._priority, self, stub=stub, verify=verify
        )
        self._pages: dict[Key, Page] = {}
        self._asked: set[Page] = set()  # `flush` was called, and its event is due
        self._savings = Savings(store, self._mover.submit, self._tell, stub=stub)
        self._events: list[PageEvent] = []
        self._clock = count(1)

    # -- what the event loop calls

    def add(
        self,
        key: Key,
        nbytes: int,
        version: int = 0,
        source: Source = "stored",
        *,
        durable: bool = True,
    ) -> None:
        """Make a record known.

        Args:
            key: of the record.
            nbytes: its size; see `RecordLayout.nbytes`.
            version: that it has, or will have when it is made.
            source: `stored`: it is on disk, as the commit that `RecordStore.last` returned, or the
                last write, left it. `made`: it has no contents yet; ask for `room`.
            durable: part of commits. Gradients are not.

        Raises:
            UsageError: the key is known already, or cannot name a file.
            TrainError: it is larger than the budget, or that version is not on disk.
        """
        if key in self._pages:
            raise UsageError(f"{describe_key(key)} is known already")
        if whole_blocks(nbytes) > self._pool.nbytes:
            raise _too_large(describe_key(key), whole_blocks(nbytes), self._pool.nbytes)
        file = self._store.file(key, nbytes)
        if source == "made":
            file.latest = None
        elif file.latest is None or file.latest.version != version:
            found = "nothing" if file.latest is None else f"version {file.latest.version}"
            raise TrainError(
                f"{describe_key(key)}: expected version {version} on disk, found {found}",
                where=str(file.blocks.path),
            )
        file.users += 1
        page = Page(key, nbytes, version, file, made=source == "made", durable=durable)
        self._pages[key] = page
        self._mover.total += page.nbytes
        self._mover.largest = max(self._mover.largest, page.nbytes)

    def want(self, key: Key, version: int) -> bool:
        """Ask for a version to be brought into memory; an event says when it is there.

        The version need not exist yet. The want ends with `pin` or `unwant`; until then the record
        stays, unless an earlier want needs the room.

        Returns:
            whether it is there already.

        Raises:
            TrainError: the record has a later version.
        """
        page = self._ask(key, version)
        self._offer(page)
        self._mover.pump()
        return page.place == "here" and page.wanted

    def unwant(self, key: Key, version: int) -> None:
        """Take a `want` back."""
        page = self._page(key)
        page.wants.discard(version)
        page.refused_at = math.nan
        self._mover.consider(page)
        self._mover.pump()

    def room(self, key: Key) -> int | None:
        """Ask for room for a record that is yet to be made, pinned for change.

        Returns:
            its offset in the pool; None where there is none yet (an event says when to ask again).
        """
        return self.pin(key, self._page(key).version, change=True)

    def pin(self, key: Key, version: int, *, change: bool = False) -> int | None:
        """Take a record for a task, if it is in memory.

        Args:
            key: of the record.
            version: that the task needs.
            change: the task may change it. Then nobody else may have it pinned, and it must not be
                on its way to disk.

        Returns:
            its offset in the pool; None where the task must wait: the record is then wanted.

        Raises:
            TrainError: the record has a later version.
        """
        offsets = self.pin_all([(key, version, change)])
        return None if offsets is None else offsets[0]

    def pin_all(self, uses: Sequence[Use]) -> list[int] | None:
        """Take all records of a task, or none of them.

        Returns:
            their offsets; None where the task must wait: all of them are then wanted.

        Raises:
            TrainError: one has a later version, or together they exceed the budget.
        """
        pages = [self._page(key) for key, _, _ in uses]
        if not all(map(_usable, pages, uses)):
            self._ask_all(pages, uses)
            self._mover.pump()
        if not all(map(_usable, pages, uses)):
            if math.isnan(pages[0].refused_at):
                pages[0].refused_at = time.perf_counter()
            return None
        for page, (_, version, change) in zip(pages, uses, strict=True):
            self._pin(page, version, change=change)
        return [page.offset for page in pages]

    def unpin(self, key: Key, version: int, dirty: bool) -> None:
        """Give a record back after a task.

        Args:
            key: of the record.
            version: that it has now: a later one after an update; the same one if only a buffer
                was changed, or nothing.
            dirty: its contents were changed.

        Raises:
            UsageError: it was not pinned, or was changed without having been pinned for it.
        """
        page = self._page(key)
        allowed = page.changing if dirty or version > page.version else page.pins
        if not allowed or version < page.version:
            raise UsageError(
                f"{describe_key(key)} at version {page.version}, pinned {page.pins} times"
                f"{' for change' if page.changing else ''}, cannot be given back "
                f"{'changed' if dirty else 'unchanged'} as version {version}"
            )
        page.pins -= 1
        page.changing = False
        if dirty:
            page.filled, page.dirty, page.stuck = True, True, False
            self._mover.dirty.add(page)
        page.version = version
        page.wants = {wanted for wanted in page.wants if wanted >= version}
        if page.flushing and page.on_disk:
            self._flushed(page)
        self._offer(page)
        self._mover.pump()

    def flush(self, key: Key) -> None:
        """Write a record if the disk has no copy of it; an event says when it is there.

        Until then it cannot be pinned for change.
        """
        page = self._page(key)
        self._asked.add(page)
        self._flush(page)
        self._mover.pump()

    def commit(self, trial: int, step: int, extra: dict[str, Any]) -> None:
        """Write what is not yet on disk of a trial, then the commit; an event says when it is done.

        The trial may go on meanwhile: each record may be changed as soon as it is written.

        Raises:
            UsageError: a task may be changing a record of the trial, or a commit is under way.
        """
        pages = {page for page in self._pages.values() if _belongs(page, trial)}
        busy = [describe_key(page.key) for page in pages if page.changing]
        if busy or trial in self._savings:
            reason = f"{min(busy)} is in use" if busy else "the commit before is under way"
            raise UsageError(f"step {step} of trial {trial} cannot be committed: {reason}")
        self._savings.begin(self._store.draft(trial, step, extra, ()), set(pages))
        for page in sorted(pages, key=lambda page: page.key):
            self._flush(page)
        self._mover.pump()

    def changing(self, trial: int) -> bool:
        """Say whether a task may be changing a record of a trial."""
        return any(page.changing for page in self._pages.values() if _belongs(page, trial))

    def committing(self, trial: int) -> bool:
        """Say whether a commit of a trial is under way."""
        return trial in self._savings

    def drop(self, key: Key, *, lost: bool = False) -> None:
        """Forget a record and what memory holds of it; what was committed stays on disk.

        No event tells of it any more; a commit that waits for it is given up.

        Args:
            key: of the record.
            lost: even if it is pinned, because the worker that used it is dead.

        Raises:
            UsageError: it is pinned.
        """
        page = self._page(key)
        if page.pins and not lost:
            raise UsageError(f"{describe_key(key)} is pinned and cannot be dropped")
        self._savings.lost(page)
        del self._pages[key]
        self._events = [event for event in self._events if event.key != key]
        self._asked.discard(page)
        self._mover.total -= page.nbytes
        page.file.users -= 1
        page.pins, page.dropped = 0, True
        page.wants.clear()
        self._mover.leave(page)
        self._mover.pump()

    def fileno(self) -> int:
        """Return a descriptor that is readable when `poll` has something to do."""
        return self._transfers.fileno()

    def poll(self) -> list[PageEvent]:
        """Take note of what has ended, start what can start, and return what happened."""
        self._mover.poll()
        events, self._events = self._events, []
        return [event for event in events if not self._stale(event)]

    def close(self) -> None:
        """Wait for what is under way and end the threads. What was not committed is lost."""
        self._transfers.close()

    # -- what is known

    @property
    def traffic(self) -> Traffic:
        """Bytes, seconds and rates since the start."""
        return self._mover.traffic

    def __contains__(self, key: Key) -> bool:
        return key in self._pages

    def version(self, key: Key) -> int:
        """Return the current version of a record."""
        return self._page(key).version

    def resident(self, key: Key) -> bool:
        """Say whether a record is in memory."""
        return self._page(key).place == "here"

    # -- what the mover tells

    def arrived(self, page: Page) -> None:
        """Note that a record is in memory."""
        self._offer(page)

    def written(self, page: Page) -> None:
        """Note that the newest contents of a record are on disk."""
        if page.flushing:
            self._flushed(page)
        self._offer(page)

    def failed(self, page: Page, error: TrainError) -> None:
        """Note that a record could not be read or written."""
        self._asked.discard(page)
        self._savings.lost(page, error)
        self._tell(PageEvent("failed", page.key[0], page.key, page.version, error))

    # -- inside

    def _page(self, key: Key) -> Page:
        page = self._pages.get(key)
        if page is None:
            raise UsageError(f"{describe_key(key)} was never added, or was dropped")
        return page

    def _priority(self, page: Page) -> Priority:
        return self.next_use(page.key), page.turn

    def _ask(self, key: Key, version: int) -> Page:
        page = self._page(key)
        if version < page.version:
            raise TrainError(
                f"{describe_key(key)} is at version {page.version}, and version {version} is wanted"
            )
        if not page.wants:
            page.turn = next(self._clock)
        page.wants.add(version)
        self._mover.consider(page)
        return page

    def _ask_all(self, pages: Sequence[Page], uses: Sequence[Use]) -> None:
        needed = sum(page.nbytes for page in pages)
        if needed > self._pool.nbytes:
            raise _too_large(f"a task of {len(pages)} records", needed, self._pool.nbytes)
        for key, version, _ in uses:
            self._ask(key, version)

    def _pin(self, page: Page, version: int, *, change: bool) -> None:
        page.pins += 1
        page.changing = change
        page.wants.discard(version)
        if not math.isnan(page.refused_at):
            self.traffic.stall_seconds += time.perf_counter() - page.refused_at
            page.refused_at = math.nan

    def _offer(self, page: Page) -> None:
        if page.wanted and page.place == "here" and not page.changing:
            self._tell(PageEvent("resident", page.key[0], page.key, page.version))

    def _tell(self, event: PageEvent) -> None:
        self._events.append(event)
        if len(self._events) == 1:
            self._transfers.signal()

    def _stale(self, event: PageEvent) -> bool:
        """It told that a record can be pinned, and that has been done or is not wanted any more."""
        if event.kind != "resident" or event.key is None:
            return False
        page = self._pages[event.key]
        return page.version != event.version or not (page.wanted and page.place == "here")

    def _flush(self, page: Page) -> None:
        if page.on_disk and not page.changing:
            self._flushed(page)
        else:
            self._mover.ask(page)

    def _flushed(self, page: Page) -> None:
        page.flushing = False
        if page in self._asked:
            self._asked.discard(page)
            self._tell(PageEvent("flushed", page.key[0], page.key, page.version))
        self._savings.saved(page)


def _usable(page: Page, use: Use) -> bool:
    _, version, change = use
    if page.place != "here" or page.changing or page.version != version:
        return False
    if not change:
        return page.filled
    return not (page.pins or page.writing or page.flushing)


def _belongs(page: Page, trial: int) -> bool:
    return page.key[0] == trial and page.durable and page.filled


def _too_large(what: str, needed: int, budget: int) -> TrainError:
    return TrainError(
        f"{what} needs {format_bytes(needed)} ({needed} bytes), "
        f"and the memory budget is {format_bytes(budget)} ({budget} bytes)",
        fix="raise the memory budget, or cut the model into smaller shards",
    )


def _unknown(key: Key) -> float:
    del key
    return math.inf
