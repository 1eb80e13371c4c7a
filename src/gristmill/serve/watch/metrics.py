"""Counts and histograms of a running server, in the text format that Prometheus reads.

Nothing here takes a lock: all of it belongs to one event loop. What a request has to touch is
looked up once, when its route is made (`Metrics.route`); what others count themselves (batches,
queues, caches) is asked for when someone looks (`Metrics.add_source`).

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

SECONDS = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds for durations, in seconds."""

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = Mapping[str, str]


class Histogram:
    """Counts of values at or below each bound, with their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Sample(NamedTuple):
    """One figure of one family: the family's name, kind and help; labels; the figure."""

    name: str
    kind: Kind
    what: str
    labels: Labels
    value: float | Histogram


Source: TypeAlias = Callable[[], Iterable[Sample]]


class RouteMetrics:
    """What happened on one route of one model."""

    __slots__ = ("latency", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.latency = Histogram(SECONDS)

    def done(self, status: int, seconds: float) -> None:
        """Count one answer; `seconds` from the request's head to its last byte handed over."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        latency = self.latency
        latency.counts[bisect_left(SECONDS, seconds)] += 1
        latency.total += seconds


class Metrics:
    """What one server has done since it started."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], RouteMetrics] = {}
        self._sources: list[Source] = []

    def route(self, route: str, model: str = "") -> RouteMetrics:
        """Return the counts of a route (a pattern, never a path) and a model, always the same."""
        return self._routes.setdefault((route, model), RouteMetrics())

    def add_source(self, source: Source) -> None:
        """Ask `source` for its samples whenever the metrics are read."""
        self._sources.append(source)

    def text(self) -> str:
        """Return everything in the exposition format."""
        # A model that stands behind several names tells of itself under each: once is enough.
        families: dict[str, dict[tuple[tuple[str, str], ...], Sample]] = {}
        for sample in self._samples():
            labels = tuple(sorted(sample.labels.items()))
            families.setdefault(sample.name, {}).setdefault(labels, sample)
        lines = (line for each in families.values() for line in _family(list(each.values())))
        return "\n".join(lines) + "\n"

    def _samples(self) -> Iterator[Sample]:
        for (route, model), counts in sorted(self._routes.items()):
            labels = {"route": route, "model": model} if model else {"route": route}
            for status, count in sorted(counts.statuses.items()):
                yield Sample(
                    "gristmill_requests_total",
                    "counter",
                    "Requests answered, by route, model and HTTP status.",
                    {**labels, "status": str(status)},
                    count,
                )
            if counts.statuses:
                what = "Time from a request's head to its answer, in seconds."
                yield Sample("gristmill_request_seconds", "histogram", what, labels, counts.latency)
        for source in self._sources:
            yield from source()


def _family(samples: Sequence[Sample]) -> Iterator[str]:
    first = samples[0]
    yield f"# HELP {first.name} {first.what}"
    yield f"# TYPE {first.name} {first.kind}"
    for sample in samples:
        if isinstance(sample.value, Histogram):
            yield from _histogram(sample.name, sample.labels, sample.value)
        else:
            yield f"{sample.name}{_braced(sample.labels)} {sample.value:g}"


def _histogram(name: str, labels: Labels, histogram: Histogram) -> Iterator[str]:
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    sums = list(accumulate(histogram.counts))
    for bound, count in zip(bounds, sums, strict=True):
        yield f"{name}_bucket{_braced({**labels, 'le': bound})} {count}"
    yield f"{name}_sum{_braced(labels)} {histogram.total:g}"
    yield f"{name}_count{_braced(labels)} {sums[-1]}"


def _braced(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
