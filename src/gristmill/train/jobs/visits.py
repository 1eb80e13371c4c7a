"""The order in which devices visit shards to answer rows, and how far away each next visit is."""

from __future__ import annotations

import math
from collections.abc import Sequence


class Visits:
    """Chunks of batches, each passed through all shards in turn by one device.

    Chunk c is answered by device c modulo their number. All devices go round the same circle of
    shards at about the same time, so that a shard that is in memory serves all of them.

    Args:
        batches: how many there are.
        at_once: batches of a chunk: what a visit of a shard answers, before the next shard comes.
        shards: how many there are.
        devices: how many there are.
    """

    def __init__(self, batches: int, at_once: int, shards: int, devices: int) -> None:
        self.chunks = [
            range(first, min(first + at_once, batches)) for first in range(0, batches, at_once)
        ]
        self._shards, self._devices = shards, devices
        self._next = [0] * devices
        self._total = [
            shards * len(range(device, len(self.chunks), devices)) for device in range(devices)
        ]

    def next(self, device: int, ahead: int = 0) -> tuple[int, int] | None:
        """Return the (chunk, shard) of a device's next visit, or one further on; None at the end.

        Args:
            device: its number.
            ahead: visits to look over.
        """
        place = self._next[device] + ahead
        if place >= self._total[device]:
            return None
        turn, shard = divmod(place, self._shards)
        return turn * self._devices + device, shard

    def advance(self, device: int) -> None:
        """Note that a device's next visit has begun."""
        self._next[device] += 1

    def away(self, shard: int) -> float:
        """Return how many visits lie before the next one of a shard, by any device."""
        return min(self._away(shard, place, total) for place, total in self._places())

    def _places(self) -> Sequence[tuple[int, int]]:
        return list(zip(self._next, self._total, strict=True))

    def _away(self, shard: int, place: int, total: int) -> float:
        distance = (shard - place) % self._shards
        return distance if place + distance < total else math.inf
