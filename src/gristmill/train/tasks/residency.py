"""Which records a simulated memory holds, and when the bytes that move in and out are through."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gristmill.core.errors import TrainError
from gristmill.core.quantities import format_bytes
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.timeline import Traffic

Key: TypeAlias = tuple[int, int, str]
"""(trial, first shard of the stage, section)"""


class Link:
    """A channel that moves one thing after the other, or reads beside writes where it is duplex."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._read_until = self._write_until = 0.0

    def read(self, nbytes: int, after: float) -> float:
        """Return when a read that may begin at `after` is through."""
        seconds = nbytes / self._machine.read_bytes_per_second
        self._read_until = max(after, self._read_until) + seconds
        if not self._machine.duplex:
            self._write_until = self._read_until
        return self._read_until

    def write(self, nbytes: int, after: float) -> float:
        """Return when a write that may begin at `after` is through."""
        seconds = nbytes / self._machine.write_bytes_per_second
        self._write_until = max(after, self._write_until) + seconds
        if not self._machine.duplex:
            self._read_until = self._write_until
        return self._write_until


class Record:
    """A record in a memory: its version, from when it is there, who uses it."""

    __slots__ = ("at", "dirty", "nbytes", "pins", "version")

    def __init__(self, nbytes: int, version: int, at: float) -> None:
        self.nbytes, self.version, self.at = nbytes, version, at
        self.pins = 0
        self.dirty = False


class Residency:
    """One memory of bounded size before one link.

    Args:
        machine: sizes and rates.
        below: when the newest version of each record is in the tier below; shared by all memories.
        next_use: how far away the next use of a record is; the farthest is evicted first (Belady
            1966). None evicts the one used longest ago.
        traffic: counts the bytes.
    """

    def __init__(
        self,
        machine: Machine,
        below: dict[Key, tuple[int, float]],
        next_use: Callable[[Key], float] | None,
        traffic: Traffic,
    ) -> None:
        self._link = Link(machine)
        self._capacity = machine.memory_bytes
        self._below, self._next_use, self._traffic = below, next_use, traffic
        self._writes_at_once = not machine.shared
        self._records: dict[Key, Record] = {}
        self._used = 0

    def fetch(self, needs: dict[Key, tuple[int, int]], now: float) -> float | None:
        """Pin records; return when all are there, None while there is no room for them.

        Args:
            needs: bytes and version by key.
            now: seconds.

        Raises:
            TrainError: they are larger than the whole memory.
        """
        total = sum(nbytes for nbytes, _ in needs.values())
        if total > self._capacity:
            raise TrainError(
                f"expected records of one task that fit {format_bytes(int(self._capacity))}, "
                f"found {format_bytes(total)}",
                where="simulated memory",
                fix=f"give it {format_bytes(total)} or more, or cut the model into more shards",
            )
        missing = {key: need for key, need in needs.items() if not self._has(key, need[1])}
        if not self._make_room(sum(nbytes for nbytes, _ in missing.values()), set(needs), now):
            return None
        for key, (nbytes, version) in missing.items():
            self._read(key, nbytes, version, now)
        for key in needs:
            self._records[key].pins += 1
            self._records[key] = self._records.pop(key)  # most recently used last
        return max((self._records[key].at for key in needs), default=now)

    def release(self, keys: list[Key], now: float, *, changed: bool) -> None:
        """Unpin records; `changed` ones are a version newer."""
        for key in keys:
            record = self._records[key]
            record.pins -= 1
            if changed:
                record.version += 1
                record.dirty, record.at = True, now
                if self._writes_at_once:
                    self._write(key, record, now)

    def newest(self, key: Key) -> int:
        """Return the version of a record here, -1 where it is not."""
        return self._records[key].version if key in self._records else -1

    def _has(self, key: Key, version: int) -> bool:
        record = self._records.get(key)
        if record is not None and record.version != version and not record.pins:
            self._used -= self._records.pop(key).nbytes
        return key in self._records

    def _make_room(self, nbytes: int, keep: set[Key], now: float) -> bool:
        short = self._used + nbytes - self._capacity
        if short <= 0:
            return True
        idle = [key for key, each in self._records.items() if not each.pins and key not in keep]
        if self._next_use is not None:
            idle.sort(key=self._next_use, reverse=True)
        if sum(self._records[key].nbytes for key in idle) < short:
            return False
        for key in idle:
            if short <= 0:
                break
            short -= self._evict(key, now)
        return True

    def _evict(self, key: Key, now: float) -> int:
        record = self._records.pop(key)
        if record.dirty:
            self._write(key, record, now)
        self._used -= record.nbytes
        return record.nbytes

    def _write(self, key: Key, record: Record, now: float) -> None:
        self._below[key] = (record.version, self._link.write(record.nbytes, max(now, record.at)))
        self._traffic.written += record.nbytes
        record.dirty = False

    def _read(self, key: Key, nbytes: int, version: int, now: float) -> None:
        _, there = self._below.get(key, (version, 0.0))
        record = Record(nbytes, version, self._link.read(nbytes, max(now, there)))
        self._records[key] = record
        self._used += nbytes
        self._traffic.read += nbytes
