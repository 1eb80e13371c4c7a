"""When replicas will be free, and from that when the batches in line will start."""

from __future__ import annotations

from gristmill.serve.scheduling.latency import LatencyModel
from gristmill.serve.scheduling.request import Batch

_LOOK_SECONDS = 1e-3
_KNOWN = 128
"""Batches that are all learnt from, however short."""


class Fleet:
    """The replicas of one model: what each runs, and how fast it is.

    Args:
        count: replicas.

    Attributes:
        models: the latency of each.
        fixed, per_work, noise: the mean over those that have run something; as in `LatencyModel`.
    """

    def __init__(self, count: int) -> None:
        self.models = [LatencyModel() for _ in range(count)]
        self.fixed = self.per_work = self.noise = 0.0
        self._running: list[list[Batch]] = [[] for _ in range(count)]
        self._free = [float("-inf")] * count
        self._sorted = list(self._free)
        self._looked = list(self._free)

    def start(self, ahead: float, now: float) -> float:
        """Return when a batch starts that has `ahead` seconds of batches before it in line.

        With one replica that is when they are done. With several it is a bound: in a list schedule
        no replica idles while batches wait, so the k that are free first have shared the work
        evenly, at worst, when the batch starts; the best k counts (Graham 1966).
        """
        free = self._sorted
        if len(free) == 1:
            first = free[0]
            return (first if first > now else now) + ahead
        best, total = float("inf"), ahead
        for used, at in enumerate(free, 1):
            total += at if at > now else now
            best = min(best, total / used)
        return best

    def upper(self, work: float) -> float:
        """Return the seconds that a batch of this work stays within, on a replica like the mean."""
        expected = self.fixed + self.per_work * work
        return float(expected + self.noise * expected**0.5)

    def begin(self, batch: Batch) -> None:
        """Note that a replica was handed a batch."""
        running = self._running[batch.replica]
        free = max(self._free[batch.replica], batch.began)
        batch.ends = free + self.models[batch.replica].seconds(batch.work)
        running.append(batch)
        self._set(batch.replica, batch.ends)

    def end(self, batch: Batch, seconds: float, now: float) -> bool:
        """Note that a batch is done, and how long it ran; say whether anything was learnt of it.

        To learn takes 5 us, as long as a small model: of batches that are so short, one in a
        millisecond tells enough. Which one is known when it begins: else slow ones would be looked
        at more often than others.
        """
        replica = batch.replica
        running = self._running[replica]
        running.remove(batch)
        self._set(replica, running[-1].ends if running else now)
        soon = batch.began < self._looked[replica] + _LOOK_SECONDS
        if soon and self.models[replica].seen >= _KNOWN:
            return False
        self._looked[replica] = batch.began
        self.observe(replica, batch.work, seconds)
        return True

    def observe(self, replica: int, work: float, seconds: float) -> None:
        """Learn from one batch."""
        self.models[replica].observe(work, seconds)
        if len(self.models) == 1:
            model = self.models[0]
            self.fixed, self.per_work, self.noise = model.fixed, model.per_work, model.noise
            return
        known = [model for model in self.models if model.seen]
        self.fixed = sum(model.fixed for model in known) / len(known)
        self.per_work = sum(model.per_work for model in known) / len(known)
        self.noise = sum(model.noise for model in known) / len(known)

    def idle(self) -> bool:
        """Say whether nothing runs."""
        return not any(self._running)

    def _set(self, replica: int, free: float) -> None:
        self._free[replica] = free
        self._sorted = sorted(self._free) if len(self._free) > 1 else self._free
