"""An endpoint whose requests and answers are profiled, to see whether they drift."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from gristmill.serve.online.endpoint import Prompt
from gristmill.serve.routing.composite import Composite

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Told
    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.streams.streaming import Streaming
    from gristmill.serve.watch.drift import DriftWatch
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
        self._prompt = endpoint.ask if isinstance(endpoint, Prompt) else None
        self._observe = watch.observe
        self._begun = False

    @property
    def streaming(self) -> Streaming | None:
        """Who answers streams of pictures with the model; who asks says so to `observe`."""
        found: Streaming | None = getattr(self.members[0], "streaming", None)
        return found

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer, and take note of it.

        Raises:
            Exception: whatever the endpoint raised.
        """
        if not self._begun:
            self._begin()
        answered = await self.members[0].answer(rows, call)
        self._observe(rows, answered.rows)
        return answered

    def observe(self, rows: Rows, answers: Rows) -> None:
        """Take note of rows that were answered past it; in the event loop."""
        if not self._begun:
            self._begin()
        self._observe(rows, answers)

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer`, without a coroutine; see `endpoint.Prompt`. None where it cannot.

        Raises:
            Refusal: as `answer`.
        """
        if self._prompt is None:
            return None
        if not self._begun:
            self._begin()
        return self._prompt(rows, call, partial(self._hear, rows, told))

    async def close(self) -> None:
        """Close the endpoint, profile what was served last, and save."""
        await super().close()
        await self.watch.stop()

    def samples(self) -> Iterator[Sample]:
        """Yield the gauges of drift, and the endpoint's own figures."""
        yield from self.watch.samples()
        yield from super().samples()

    def _hear(self, rows: Rows, told: Told, outcome: Answered | Exception) -> None:
        told(outcome)
        if not isinstance(outcome, Exception):
            self._observe(rows, outcome.rows)

    def _begin(self) -> None:
        self._begun = True
        self.watch.start()


def watches(endpoints: Iterable[object]) -> list[DriftWatch]:
    """Return every watch among endpoints and what they are made of.

    Each is there once, though its model may stand behind several names.
    """
    return list({id(each.watch): each.watch for each in watched_among(endpoints)}.values())


async def drift(endpoints: Iterable[object]) -> bytes:
    """Return the body of an answer to `GET /v1/drift`: `{"drift": [report, ...]}`, of this moment.

    A model that is not watched has no report.
    """
    found = watches(endpoints)
    await asyncio.gather(*(watch.refresh() for watch in found))
    return msgspec.json.encode({"drift": [watch.report() for watch in found]})


def watched_among(endpoints: Iterable[object]) -> Iterator[Watched]:
    """Yield what is watched among endpoints and what they are made of."""
    for endpoint in endpoints:
        if isinstance(endpoint, Watched):
            yield endpoint
        yield from watched_among(getattr(endpoint, "members", ()))
