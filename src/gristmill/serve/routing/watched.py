"""An endpoint whose requests and answers are profiled, to see whether they drift."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from gristmill.serve.routing.composite import Composite

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered, Call, Endpoint
    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.watch.drift import DriftReport, DriftWatch
    from gristmill.serve.watch.metrics import Sample


class Watched(Composite):
    """An endpoint that lets a watch see what passes; it answers as what it watches does.

    Args:
        endpoint: what answers; closed with it, and so is the watch.
        watch: begins with the first request, in whose event loop it runs.
    """

    def __init__(self, endpoint: Endpoint, watch: DriftWatch) -> None:
        super().__init__(endpoint.name, [endpoint])
        self.watch = watch

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer, and take note of it.

        Raises:
            Exception: whatever the endpoint raised.
        """
        answered = await self.members[0].answer(rows, call)
        self.watch.observe(rows, answered.rows)
        self.watch.start()
        return answered

    async def close(self) -> None:
        """Close the endpoint, profile what was served last, and save."""
        await super().close()
        await self.watch.stop()

    def samples(self) -> Iterator[Sample]:
        """Yield the gauges of drift, and the endpoint's own figures."""
        yield from self.watch.samples()
        yield from super().samples()


def drift_reports(endpoints: Iterable[object]) -> Iterator[DriftReport]:
    """Yield the newest report of every watch among endpoints and what they are made of."""
    for endpoint in endpoints:
        if isinstance(endpoint, Watched):
            yield endpoint.watch.report()
        yield from drift_reports(getattr(endpoint, "members", ()))


def drift(endpoints: Iterable[object]) -> bytes:
    """Return the body of an answer to `GET /v1/drift`: `{"drift": [report, ...]}`."""
    return msgspec.json.encode({"drift": list(drift_reports(endpoints))})
