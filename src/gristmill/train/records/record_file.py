"""The file of one record: which of its slots hold what, and which may be overwritten."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

import msgspec

from gristmill.train.records.block_file import BlockFile


class Slot(msgspec.Struct, frozen=True):
    """What a slot holds: a version and the digest of its bytes (empty where none was taken)."""

    number: int
    version: int
    digest: str


class RecordFile:
    """Slots of one record: the last two committed versions, and one that is being worked on.

    The book-keeping is the event loop's and belongs to its thread; `blocks` moves the bytes and may
    be used from others.

    Attributes:
        blocks: the file itself.
        latest: what was written last, which a read should get; None before the first write.
        kept: number of uses of each slot that must not be overwritten.
        users: how many pagers have the record.
        busy: slots that are being written.
    """

    def __init__(self, path: Path, nbytes: int, *, direct: bool) -> None:
        self.blocks = BlockFile(path, nbytes, direct=direct)
        self.latest: Slot | None = None
        self.kept: Counter[int] = Counter()
        self.users = 0
        self.busy: set[int] = set()

    def begin(self) -> int:
        """Return the number of a slot to write to: no kept one, and none that is being written."""
        number = next(
            number for number in count() if number not in self.busy and not self.kept[number]
        )
        self.busy.add(number)
        return number

    def end(self, number: int, written: Slot | None) -> None:
        """Note that a write has ended; `written` is None where it failed."""
        self.busy.discard(number)
        if written is not None or (self.latest is not None and self.latest.number == number):
            self.latest = written

    def keep(self, number: int) -> None:
        """Protect a slot from being overwritten."""
        self.kept[number] += 1

    def let_go(self, number: int) -> None:
        """Take back one `keep`."""
        self.kept[number] -= 1
        if not self.kept[number]:
            del self.kept[number]
