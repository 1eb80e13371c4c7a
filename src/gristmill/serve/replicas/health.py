"""How a set of replicas is doing: for readiness and for the metrics page."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gristmill.serve.replicas.dispatcher import Counts
from gristmill.serve.watch.metrics import Kind, Sample


class Health(msgspec.Struct, frozen=True):
    """How a set is doing.

    Attributes:
        ready: whether batches are taken: some replica lives, and the set is not being closed.
        alive: how many replicas live.
        count: how many there should be.
        problems: why others cannot be started, one line each; none while all live or come back.
        counts: what happened so far.
    """

    ready: bool
    alive: int
    count: int
    problems: tuple[str, ...]
    counts: Counts

    def samples(self, model: str) -> Iterator[Sample]:
        """Yield the figures for the metrics page, under the name of the model."""
        figures: list[tuple[str, Kind, str, int]] = [
            ("gristmill_replicas", "gauge", "Replica processes that live.", self.alive),
            ("gristmill_replicas_wanted", "gauge", "How many there should be.", self.count),
            ("gristmill_replicas_lost_total", "counter", "Replicas that died.", self.counts.lost),
            ("gristmill_retried_total", "counter", "Batches, rows run again.", self.counts.retried),
        ]
        for name, kind, what, value in figures:
            yield Sample(name, kind, what, {"model": model}, value)
