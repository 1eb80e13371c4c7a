"""What the logs of several writers hold, by 64-bit keys: read once, then only what is new.

    folder/WRITER/00000001.log ...

An entry of a full segment takes 24 bytes: keys in order, with their time and a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.serve.journal.segments import dated_segments, records_from

_RECORDS_AT_ONCE = 256
"""Records of one step: about a millisecond."""


class Entry(NamedTuple):
    """What is found under a key: two 64-bit numbers, and when it was written."""

    key: int
    when: float
    value: int


Entries: TypeAlias = "Callable[[Path, bytes], Iterable[Entry]]"
"""Returns the entries of one record, which is in the log of this folder."""


class _Segment:
    """The entries of one segment: a dict while it grows, arrays once it does not."""

    def __init__(self) -> None:
        self.end = 0
        self._growing: dict[int, tuple[float, int]] = {}
        self._keys: NDArray[np.int64] | None = None
        self._whens: NDArray[np.float64] = np.empty(0)
        self._values: NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def is_full(self) -> bool:
        return self._keys is not None

    def add(self, entry: Entry) -> None:
        self._growing[entry.key] = (entry.when, entry.value)

    def freeze(self) -> None:
        keys = np.fromiter(self._growing, np.int64, len(self._growing))
        order = np.argsort(keys)
        self._whens = np.array([when for when, _ in self._growing.values()], np.float64)[order]
        self._values = np.array([value for _, value in self._growing.values()], np.int64)[order]
        self._keys, self._growing = keys[order], {}

    def get(self, key: int) -> tuple[float, int] | None:
        if self._keys is None:
            return self._growing.get(key)
        place = int(np.searchsorted(self._keys, key))
        if place == len(self._keys) or self._keys[place] != key:
            return None
        return float(self._whens[place]), int(self._values[place])


class SegmentIndex:
    """An index of logs that others are writing.

    Args:
        folder: holds a folder for each writer's log.
        entries: reads a record.

    Attributes:
        damaged: segments that hold something else behind their last sound record, other than the
            newest of a writer, whose last record may be on its way.
    """

    def __init__(self, folder: Path, entries: Entries) -> None:
        self._folder, self._entries = folder, entries
        self._segments: dict[Path, _Segment] = {}
        self.damaged = 0

    def refresh(self) -> None:
        """Read what was written since the last time, and forget what was dropped.

        Raises:
            StoreError: a file is none of ours, or of another version.
        """
        for _ in self.refreshing():
            pass

    def refreshing(self) -> Iterator[None]:
        """Do as `refresh`, in short steps; others may refresh or ask between two of them.

        Raises:
            StoreError: as `refresh`.
        """
        there = set[Path]()
        for place in sorted(lock.parent for lock in self._folder.glob("*/lock")):
            files = [path for path, _ in dated_segments(place)]
            for path in files:
                segment = self._segments.setdefault(path, _Segment())
                try:
                    if not segment.is_full:
                        yield from self._read(path, segment, newest=path is files[-1])
                    there.add(path)
                except FileNotFoundError:  # dropped since it was listed
                    continue
        for path in [*self._segments]:
            if path not in there and not path.exists():
                del self._segments[path]

    def get(self, key: int) -> tuple[float, int] | None:
        """Return when the newest entry of a key was written, and its value; None without any."""
        found = [entry for each in self._segments.values() if (entry := each.get(key)) is not None]
        return max(reversed(found), key=lambda entry: entry[0]) if found else None

    def _read(self, path: Path, segment: _Segment, *, newest: bool) -> Iterator[None]:
        while not segment.is_full:
            some = list(islice(records_from(path, segment.end), _RECORDS_AT_ONCE))
            for end, payload in some:
                for entry in self._entries(path.parent, payload):
                    segment.add(entry)
                segment.end = end
            if len(some) == _RECORDS_AT_ONCE:
                yield
                continue
            if not newest:
                segment.freeze()
                self.damaged += segment.end < path.stat().st_size
            return


def key_of(*parts: object) -> int:
    """Return the key of texts and other plain values: equal ones have the same in this process."""
    return hash(parts)
