"""Counts and histograms of a running server, in the text format that Prometheus reads.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RECORDS = tuple(float(2**power) for power in range(11))


class Histogram:
    """Counts of values at or below each bound, with their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, what: str) -> Iterator[str]:
        """Yield the histogram as exposition lines."""
        yield from _head(name, "histogram", what)
        bounds = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        sums = list(accumulate(self.counts))
        for bound, count in zip(bounds, sums, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f"{name}_sum {self.total:g}"
        yield f"{name}_count {sums[-1]}"


class Metrics:
    """What one server has done since it started."""

    def __init__(self, queue_depth: Callable[[], int] = lambda: 0) -> None:
        self._queue_depth = queue_depth
        self._requests: dict[tuple[str, int], int] = {}
        self._latency = Histogram(_SECONDS)
        self._batches = Histogram(_RECORDS)
        self._model_seconds = Histogram(_SECONDS)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request by route and status; `seconds` from first byte to last."""
        key = (route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        self._latency.observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count one run of the model: records together, and how long it took."""
        self._batches.observe(size)
        self._model_seconds.observe(seconds)

    def text(self) -> str:
        """Return everything in the exposition format."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        name = "gristmill_requests_total"
        yield from _head(name, "counter", "Requests answered, by route and HTTP status.")
        for (route, status), count in sorted(self._requests.items()):
            yield f'{name}{{route="{route}",status="{status}"}} {count}'
        yield from self._latency.lines(
            "gristmill_request_seconds", "Time from request to answer, in seconds."
        )
        yield from self._batches.lines(
            "gristmill_batch_records", "Records that went through the model together."
        )
        yield from self._model_seconds.lines(
            "gristmill_batch_seconds", "Time of the model per batch, in seconds."
        )
        yield from _head("gristmill_queue_records", "gauge", "Records that wait for the model.")
        yield f"gristmill_queue_records {self._queue_depth()}"


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} {kind}"
