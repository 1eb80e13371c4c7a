"""How long a replica may take before it counts as hung."""

from __future__ import annotations

import msgspec

_FORGET = 0.995


class Care(msgspec.Struct, frozen=True):
    """How replicas are looked after; times in seconds.

    Attributes:
        least: no batch is given up before this.
        slack: a batch is given up when it takes this many times what was to be expected.
        most: every batch is given up after this.
        ping: how long a replica may be silent without work before it is asked whether it lives.
        pong: how long it may take to say so.
        opening: how long a new one may take until it is ready.
        first_pause: wait before the second attempt to replace one; doubled for each further one.
        longest_pause: longest such wait.
        settled: a replica that lived this long is replaced at once when it dies.
        homeless: how long a batch waits while no replica is left.
    """

    least: float = 2.0
    slack: float = 20.0
    most: float = 60.0
    ping: float = 2.0
    pong: float = 5.0
    opening: float = 120.0
    first_pause: float = 0.1
    longest_pause: float = 10.0
    settled: float = 10.0
    homeless: float = 5.0


class Patience:
    """What a batch may take, by what batches took.

    The slowest batch of late says what is to be expected, in proportion to the bytes where the
    new one is larger. Much coarser than a model of the latency, and meant to be: a healthy replica
    on a busy machine must never be taken for a hung one.
    """

    def __init__(self, care: Care) -> None:
        self._care = care
        self._seconds = self._nbytes = 0.0

    def observe(self, nbytes: int, seconds: float) -> None:
        """Take in a batch that was answered."""
        self._seconds *= _FORGET
        if seconds >= self._seconds:
            self._seconds, self._nbytes = seconds, float(nbytes)

    def limit(self, nbytes: int) -> float:
        """Return the seconds after which a batch of this size is given up."""
        if not self._seconds:
            return self._care.most
        larger = max(1.0, nbytes / max(1.0, self._nbytes))
        expected = self._care.slack * self._seconds * larger
        return min(self._care.most, max(self._care.least, expected))


class Backoff:
    """How long to wait before a dead replica is replaced."""

    def __init__(self, care: Care) -> None:
        self._care = care
        self._pause = 0.0

    def after(self, life_seconds: float) -> float:
        """Return the seconds to wait after one that lived this long: at first none."""
        if life_seconds >= self._care.settled:
            self._pause = 0.0
        pause = self._pause
        self._pause = min(max(self._care.first_pause, 2 * pause), self._care.longest_pause)
        return pause
