"""Commits that are being prepared: the records of a step on their way to disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from gristmill.core.errors import TrainError
from gristmill.train.records.block_file import BlockFile
from gristmill.train.records.commit import Commit, StoredRecord
from gristmill.train.records.page import Page
from gristmill.train.records.page_event import PageEvent
from gristmill.train.records.record_store import RecordStore
from gristmill.train.records.transfers import Transfer


class Saving:
    """Gathers the records of one step; each is protected from the moment it is on disk.

    Args:
        draft: the commit, as yet without records.
        pages: its records.

    Attributes:
        draft: the commit, as yet without records.
        waiting: records that are not yet on disk.
    """

    def __init__(self, draft: Commit, pages: set[Page]) -> None:
        self.draft = draft
        self.waiting = pages
        self._records: list[StoredRecord] = []
        self._held: list[tuple[Page, int]] = []

    def saved(self, page: Page, store: RecordStore) -> None:
        """Note that the contents of a record are on disk, and hold on to them."""
        slot = page.file.latest
        if slot is None:
            return
        self.waiting.discard(page)
        page.file.keep(slot.number)
        self._held.append((page, slot.number))
        self._records.append(store.named(page.key, page.nbytes, slot))

    @property
    def commit(self) -> Commit:
        """The commit with its records, by shard and section."""
        ordered = sorted(self._records, key=lambda record: (record.shard, record.section))
        return msgspec.structs.replace(self.draft, records=tuple(ordered))

    @property
    def files(self) -> tuple[BlockFile, ...]:
        """The files of the records."""
        return tuple(page.file.blocks for page, _ in self._held)

    def release(self) -> None:
        """Let go of the records: the commit is on disk and protects them, or was given up."""
        for page, slot in self._held:
            page.file.let_go(slot)
        self._held.clear()


class Savings:
    """The commits under way, at most one of each trial.

    Args:
        store: where they go.
        submit: hands a transfer to the threads.
        tell: takes the events `committed` and `failed`.
        stub: write no journal.
    """

    def __init__(
        self,
        store: RecordStore,
        submit: Callable[[Transfer], None],
        tell: Callable[[PageEvent], None],
        *,
        stub: bool,
    ) -> None:
        self._store, self._submit, self._tell, self._stub = store, submit, tell, stub
        self._by_trial: dict[int, Saving] = {}

    def __contains__(self, trial: int) -> bool:
        return trial in self._by_trial

    def begin(self, draft: Commit, pages: set[Page]) -> None:
        """Start a commit; it is written once `saved` was called for each of its records."""
        saving = Saving(draft, pages)
        self._by_trial[draft.trial] = saving
        if not pages:
            self._write(saving)

    def saved(self, page: Page) -> None:
        """Note that the contents of a record are on disk."""
        saving = self._by_trial.get(page.key[0])
        if saving is None or page not in saving.waiting:
            return
        saving.saved(page, self._store)
        if not saving.waiting:
            self._write(saving)

    def lost(self, page: Page, error: TrainError | None = None) -> None:
        """Give up the commit that waits for a record; a `failed` event tells it, given an error."""
        saving = self._by_trial.get(page.key[0])
        if saving is not None and page in saving.waiting:
            self._end(saving, error)

    def _write(self, saving: Saving) -> None:
        run = self._store.logging(saving.commit, saving.files)
        then = partial(self._written, saving)
        self._submit(Transfer("written", _nothing if self._stub else run, then))

    def _written(self, saving: Saving, transfer: Transfer) -> None:
        if transfer.error is None:
            if not self._stub:
                self._store.settle(saving.draft.trial)
            self._tell(PageEvent("committed", saving.draft.trial, None, saving.draft.step))
        self._end(saving, transfer.error)

    def _end(self, saving: Saving, error: TrainError | None) -> None:
        saving.release()
        del self._by_trial[saving.draft.trial]
        if error is not None:
            draft = saving.draft
            self._tell(PageEvent("failed", draft.trial, None, draft.step, error))


def _nothing() -> None:
    return None
