"""Counters behind a name that go on when what counts them is exchanged.

Prometheus takes a counter that is less than before for one that began anew, and adds all of it: a
version that comes back with the counts of its first time would be counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from gristmill.serve.online.endpoint import Endpoint
from gristmill.serve.watch.metrics import Histogram, Sample

_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class Tallies:
    """What endpoints have counted that are closed."""

    def __init__(self) -> None:
        self._ended: dict[_Key, Sample] = {}

    def end(self, endpoint: Endpoint) -> None:
        """Take over what an endpoint has counted that is about to be closed."""
        counted = filter(_is_counter, _samples(endpoint))
        self._ended = _added([*self._ended.values(), *counted])

    def samples(self, endpoint: Endpoint, kept: Endpoint | None) -> Iterator[Sample]:
        """Yield the figures of what answers now, its counters with those of all before.

        Args:
            endpoint: what answers.
            kept: what is open beside it and does not.
        """
        now = list(_samples(endpoint))
        yield from (sample for sample in now if not _is_counter(sample))
        counted = filter(_is_counter, [*now, *_samples(kept)])
        yield from _added([*counted, *self._ended.values()]).values()


def _samples(endpoint: Endpoint | None) -> Iterable[Sample]:
    source = getattr(endpoint, "samples", None)
    return () if source is None else source()


def _is_counter(sample: Sample) -> bool:
    return sample.kind == "counter" and not isinstance(sample.value, Histogram)


def _added(samples: Iterable[Sample]) -> dict[_Key, Sample]:
    """Return counters by name and labels, in their order; equal ones added up."""
    found: dict[_Key, Sample] = {}
    for sample in samples:
        key = sample.name, tuple(sorted(sample.labels.items()))
        value = sample.value + found[key].value if key in found else sample.value  # type: ignore[operator]
        found[key] = sample._replace(value=value)
    return found
