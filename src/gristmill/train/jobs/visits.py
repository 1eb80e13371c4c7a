"""The order in which devices visit shards to answer rows, and how far away each next visit is."""

from __future__ import annotations


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

    def next(self, device: int) -> tuple[int, int] | None:
        """Return the (chunk, shard) of a device's next visit; None at the end."""
        place = self._next[device]
        if place >= self._total[device]:
            return None
        turn, shard = divmod(place, self._shards)
        return turn * self._devices + device, shard

    def shard(self, device: int, ahead: int) -> int:
        """Return the shard that a device will visit after so many others.

        After the last visit the circle goes on: there the next prediction begins.
        """
        return (self._next[device] + ahead) % self._shards

    def advance(self, device: int) -> None:
        """Note that a device's next visit has begun."""
        self._next[device] += 1

    def begin_again(self, device: int, under_way: int) -> None:
        """Go back to the first shard of the chunk that a device was in, whose values are lost.

        Args:
            device: its number.
            under_way: visits that have begun and not ended.
        """
        first = self._next[device] - under_way
        self._next[device] = first - first % self._shards

    def away(self, shard: int) -> int:
        """Return how many visits lie before the next one of a shard, by any device."""
        return min((shard - place) % self._shards for place in self._next)
