"""What the pager knows of one record."""

from __future__ import annotations

import math
from typing import Literal

from gristmill.train.records.key import Key, whole_blocks
from gristmill.train.records.record_file import RecordFile

Place = Literal["away", "coming", "here"]


class Page:
    """A record: where its contents are, and what is being done with them.

    The newest contents are in memory, on disk, or both (then `dirty` is false). A record that was
    `made` has no contents before it is first unpinned dirty: it is given room, and nothing is read.

    Attributes:
        key: of the record.
        nbytes: whole blocks.
        version: number of updates that the newest contents have had.
        durable: a commit includes it; scratch records are only ever spilled.
        file: where it goes on disk.
        place: `away` (no room in the pool), `coming` (has room, is being read), `here`.
        offset: first byte of its room in the pool; meaningless when away.
        filled: it has contents.
        pins: how many tasks use it.
        changing: the one task that has it pinned may change it.
        dirty: the contents in memory are newer than those on disk.
        writing: it is being written; it may be read, and must not be changed.
        flushing: it must be written before it may be changed.
        stuck: it is dirty and its last write failed; it is not tried again before somebody asks.
        trusted: contents on disk were written, or verified, by this process.
        dropped: nobody wants it; its room is given back when its transfer has ended.
        wants: versions that somebody waits for.
        turn: order of the oldest want; ties of `next_use` go by it.
        refused_at: when a `pin` was first refused; NaN if none is waiting.
    """

    __slots__ = (
        "changing",
        "dirty",
        "dropped",
        "durable",
        "file",
        "filled",
        "flushing",
        "key",
        "nbytes",
        "offset",
        "pins",
        "place",
        "refused_at",
        "stuck",
        "trusted",
        "turn",
        "version",
        "wants",
        "writing",
    )

    def __init__(
        self, key: Key, nbytes: int, version: int, file: RecordFile, *, made: bool, durable: bool
    ) -> None:
        self.key = key
        self.nbytes = whole_blocks(nbytes)
        self.version = version
        self.durable = durable
        self.file = file
        self.place: Place = "away"
        self.offset = -1
        self.filled = not made
        self.pins = 0
        self.changing = False
        self.dirty = False
        self.writing = False
        self.flushing = False
        self.stuck = False
        self.trusted = made
        self.dropped = False
        self.wants: set[int] = set()
        self.turn = 0
        self.refused_at = math.nan

    @property
    def wanted(self) -> bool:
        """Somebody waits for the version that the record has now."""
        return self.version in self.wants

    @property
    def evictable(self) -> bool:
        """Its room may be given to another: at once, or after a write that can be expected."""
        return self.place == "here" and not (self.pins or self.stuck or self.dropped)

    @property
    def on_disk(self) -> bool:
        """Nothing is lost when its room is given to another."""
        return not self.dirty and not self.writing

    @property
    def writable(self) -> bool:
        """A write may start now."""
        return self.dirty and not (self.writing or self.changing or self.stuck)
