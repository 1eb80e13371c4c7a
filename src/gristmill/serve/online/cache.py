"""Answers that were given before, by the whole of what was asked: bounded in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

_OVERHEAD = 400
"""Bytes of an entry beside its key and the data of its answer, about."""


class _Entry:
    """One answer, in a list from the newest to the oldest."""

    __slots__ = ("key", "newer", "older", "size", "value", "visited")

    def __init__(self, key: bytes, value: Rows, size: int) -> None:
        self.key, self.value, self.size = key, value, size
        self.visited = False
        self.newer: _Entry | None = None
        self.older: _Entry | None = None


class AnswerCache:
    """The answers of rows by their keys; what is asked for again stays.

    SIEVE (Zhang et al., NSDI 2024): a hand moves from the oldest entry to the newest, spares what
    was asked for since it last came by, and evicts the first entry that was not. A hit only sets
    a mark, as in CLOCK; but new entries go to the head of the list, not to where the hand
    stands, so that what is never asked for again leaves soon. On the traces of that paper it misses
    less than CLOCK, LRU and ARC.

    Keys are compared whole, so two inputs can't be taken for one another.

    Args:
        capacity: bytes of keys and answers; 0 keeps none.

    Attributes:
        hits, misses: rows that were found, and not.
        nbytes: held now.

    Raises:
        UsageError: the capacity is negative.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 0:
            raise UsageError(f"expected a cache of 0 bytes or more, found {capacity}")
        self.capacity = capacity
        self.hits = self.misses = self.nbytes = 0
        self._entries: dict[bytes, _Entry] = {}
        self._newest: _Entry | None = None
        self._oldest: _Entry | None = None
        self._hand: _Entry | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def get(self, key: bytes) -> Rows | None:
        """Return the answer to a row, None if it isn't known."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        entry.visited = True
        return entry.value

    def put(self, key: bytes, value: Rows) -> None:
        """Keep the answer to a row, unless it is larger than the whole cache."""
        size = len(key) + value.nbytes() + _OVERHEAD
        if size > self.capacity:
            return
        known = self._entries.get(key)
        if known is not None:
            self._unlink(known)
        while self.nbytes + size > self.capacity:
            self._evict()
        entry = _Entry(key, value, size)
        entry.older = self._newest
        if self._newest is None:
            self._oldest = entry
        else:
            self._newest.newer = entry
        self._newest = self._entries[key] = entry
        self.nbytes += size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._newest = self._oldest = self._hand = None
        self.nbytes = 0

    def _evict(self) -> None:
        entry = self._hand or self._oldest
        while entry is not None and entry.visited:
            entry.visited = False
            entry = entry.newer or self._oldest
        if entry is not None:
            self._hand = entry.newer
            self._unlink(entry)

    def _unlink(self, entry: _Entry) -> None:
        if self._hand is entry:
            self._hand = entry.newer
        if entry.older is None:
            self._oldest = entry.newer
        else:
            entry.older.newer = entry.newer
        if entry.newer is None:
            self._newest = entry.older
        else:
            entry.newer.older = entry.older
        del self._entries[entry.key]
        self.nbytes -= entry.size
