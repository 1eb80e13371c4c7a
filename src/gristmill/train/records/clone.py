"""A trial's commit taken over by another trial."""

from __future__ import annotations

import mmap
from typing import Any

from gristmill.core.errors import UsageError
from gristmill.train.records.commit import Commit
from gristmill.train.records.record_file import Slot
from gristmill.train.records.record_store import RecordStore


def clone_commit(
    store: RecordStore, commit: Commit, trial: int, extra: dict[str, Any] | None = None
) -> Commit:
    """Copy the records of a commit to another trial and commit them there, at the same step.

    Population based training copies the state of a good trial over that of a bad one so. Blocks
    while bytes are copied, through memory as large as the largest record.

    Args:
        store: where both trials are.
        commit: to copy.
        trial: the other trial; its own commits are superseded.
        extra: kept with the new commit; that of `commit` by default.

    Raises:
        UsageError: the other trial is the same, or has records in use.
        TrainError: a record is damaged, or the disk is full.
    """
    if trial == commit.trial:
        raise UsageError(f"trial {trial} cannot take over its own commit")
    copies = []
    for record in commit.records:
        key = (trial, record.shard, record.section)
        file = store.file(key, record.nbytes)
        if file.users:
            raise UsageError(f"records of trial {trial} are in use: drop them first")
        number = file.begin()
        written: Slot | None = None
        try:
            with mmap.mmap(-1, record.nbytes) as area, memoryview(area) as scratch:
                store.read(commit.trial, record, scratch)
                digest = file.blocks.write(number, scratch, durable=True)
            written = Slot(number, record.version, digest)
        finally:
            file.end(number, written)
        if record.layout:
            store.set_layout(key, store.layout(record))
        copies.append(store.named(key, record.nbytes, written))
    kept = commit.extra if extra is None else extra
    return store.add_commit(store.draft(trial, commit.step, kept, copies))
