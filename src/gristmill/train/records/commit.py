"""What a commit says: the step of a trial, and where each of its records was then."""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.train.records.key import Key


class StoredRecord(msgspec.Struct, frozen=True, array_like=True):
    """A version of a record on disk.

    Attributes:
        shard: of the trial.
        section: `weights` or `state`.
        version: number of updates the record has had.
        nbytes: size of a slot of its file.
        slot: which slot of the file.
        digest: xxh3_128 of the slot, 32 hex digits.
        layout: name of its layout in the store; empty where none was set.
    """

    shard: int
    section: str
    version: int
    nbytes: int
    slot: int
    digest: str
    layout: str = ""


class Commit(msgspec.Struct, frozen=True, tag="commit", omit_defaults=True):
    """A finished step of a trial, all of it on disk.

    Attributes:
        trial: number of the trial.
        step: optimiser updates so far.
        extra: what the caller wanted kept with it (plain values).
        records: all records of the trial.
        note: what happened to later commits, where this one was fallen back to; else empty.
    """

    trial: int
    step: int
    extra: dict[str, Any]
    records: tuple[StoredRecord, ...]
    note: str = ""

    @property
    def versions(self) -> dict[Key, int]:
        """Version of each record."""
        return {
            (self.trial, record.shard, record.section): record.version for record in self.records
        }
