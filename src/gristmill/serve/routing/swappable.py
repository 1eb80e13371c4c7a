"""A name whose model can be replaced while it answers, without one failed request.

    swap:  warm the new one ─▶ point to it ─▶ let what the old one is answering end ─▶ keep it

The last one that was replaced stays open, so that going back is a pointer, too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from gristmill.core.errors import ServeError
from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Told
from gristmill.serve.routing.held import Held
from gristmill.serve.routing.members import check_alike, is_ready, problems_of
from gristmill.serve.routing.tallies import Tallies
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.streams.streaming import Streaming
    from gristmill.store.bundle import Field

log = logging.getLogger("gristmill.serve")

Warm = Callable[[Endpoint], Awaitable[None]]


class Swappable:
    """An endpoint behind which another one can be exchanged.

    Args:
        name: what requests call it.
        endpoint: what answers at first; closed by this.
        version: what that is a version of, for the metrics and for `current`.
        warm: asks a new endpoint something before the first request does; what it raises keeps
            the endpoint from being taken.
        keep_previous: whether the last one stays open for `roll_back`; it keeps its memory.
        drain_seconds: how long what an old endpoint is answering may take before it is closed.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        version: str = "",
        *,
        warm: Warm | None = None,
        keep_previous: bool = True,
        drain_seconds: float = 30.0,
    ) -> None:
        self.name, self._warm = name, warm
        self._keep, self._drain_seconds = keep_previous, drain_seconds
        self._held = Held(endpoint, version)
        self._previous: Held | None = None
        self._exchange = asyncio.Lock()
        self._tallies = Tallies()
        self.swaps = self.failed_swaps = 0

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Fields of a request."""
        return self._held.endpoint.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Fields of an answer."""
        return self._held.endpoint.outputs

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of `probs`."""
        return self._held.endpoint.classes

    @property
    def members(self) -> tuple[Endpoint, ...]:
        """What answers now."""
        return (self._held.endpoint,)

    @property
    def fingerprint(self) -> str:
        """Of the model that answers now."""
        return str(getattr(self._held.endpoint, "fingerprint", ""))

    @property
    def streaming(self) -> Streaming | None:
        """Who answers streams of pictures with the model that answers now."""
        found: Streaming | None = getattr(self._held.endpoint, "streaming", None)
        return found

    @property
    def ready(self) -> bool:
        """Whether what answers now can answer."""
        return is_ready(self._held.endpoint)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why processes of what answers now cannot be started, one line each."""
        return problems_of(self.members)

    @property
    def version(self) -> str:
        """The version that answers now."""
        return self._held.version

    @property
    def previous(self) -> str | None:
        """The version that `roll_back` goes back to; None where there is none."""
        return self._previous.version if self._previous else None

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer by what is behind the name when the request comes.

        Raises:
            Exception: whatever that raised.
        """
        return await self._held.answer(rows, call)

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer`, without a coroutine; see `endpoint.Prompt`.

        None where what is behind the name now cannot.

        Raises:
            Refusal: as `answer`.
        """
        return self._held.ask(rows, call, told)

    async def swap(self, endpoint: Endpoint, version: str = "") -> None:
        """Put another endpoint behind the name.

        Returns when the old one has ended what it was answering. Where this raises, the old one
        goes on as if nothing had been, and the new one is closed.

        Raises:
            ServeError: the new one is asked or answers something else, or does not get warm.
        """
        async with AsyncExitStack() as unless_taken:
            # Also where this is called off while it waits for its turn.
            unless_taken.push_async_callback(endpoint.close)
            async with self._exchange:
                try:
                    check_alike(self.name, self._held.endpoint, endpoint)
                    await self._warmed(endpoint)
                except BaseException:
                    self.failed_swaps += 1
                    raise
                unless_taken.pop_all()
                await self._take(endpoint, version)

    async def roll_back(self) -> str:
        """Put the previous endpoint back, and return its version; a second time undoes the first.

        Raises:
            ServeError: there is none.
        """
        async with self._exchange:
            if self._previous is None:
                raise ServeError(
                    "there is no earlier version to go back to", where=f"route {self.name!r}"
                )
            self._held, self._previous = self._previous, self._held
            self.swaps += 1
            await self._drained(self._previous)
            return self._held.version

    async def close(self) -> None:
        """Close what answers, and what was kept."""
        async with self._exchange:
            await self._held.endpoint.close()
            if self._previous is not None:
                await self._previous.endpoint.close()
                self._previous = None

    def samples(self) -> Iterator[Sample]:
        """Yield what answers and how often that changed, and the endpoints' own figures."""
        labels = {"route": self.name}
        what = "The version that answers."
        yield Sample(
            "gristmill_route_version_info", "gauge", what, {**labels, "version": self.version}, 1.0
        )
        what = "How often what is behind the name was exchanged."
        yield Sample("gristmill_route_swaps_total", "counter", what, labels, self.swaps)
        what = "Exchanges that were called off because the new one was not fit."
        yield Sample(
            "gristmill_route_failed_swaps_total", "counter", what, labels, self.failed_swaps
        )
        kept = self._previous.endpoint if self._previous else None
        yield from self._tallies.samples(self._held.endpoint, kept)

    async def _take(self, endpoint: Endpoint, version: str) -> None:
        """Point to another endpoint, and close those that nobody goes back to."""
        oldest, self._previous = self._previous, self._held
        self._held = Held(endpoint, version)
        self.swaps += 1
        if oldest is not None:
            self._tallies.end(oldest.endpoint)
        try:
            await self._drained(self._previous)
        finally:
            # Called off or not: nobody else knows the oldest one any more.
            if oldest is not None:
                await oldest.endpoint.close()
        if not self._keep:
            replaced, self._previous = self._previous.endpoint, None
            self._tallies.end(replaced)
            await replaced.close()

    async def _warmed(self, endpoint: Endpoint) -> None:
        if self._warm is None:
            return
        try:
            await self._warm(endpoint)
        except Exception as error:
            raise ServeError(
                f"the new model fails before its first request: {error}",
                where=f"route {self.name!r}",
                fix="the old one goes on answering; look at the new bundle",
            ) from error

    async def _drained(self, held: Held) -> None:
        """Wait until nothing is being answered by an endpoint that gets no more requests."""
        if not held.busy:
            return
        held.idle.clear()
        try:
            async with asyncio.timeout(self._drain_seconds):
                await held.idle.wait()
        except TimeoutError:
            log.warning("route %s: %d requests of the old version drag on", self.name, held.busy)


def warm_with(rows: Rows, *, seconds: float = 10.0, times: int = 2) -> Warm:
    """Return what warms an endpoint by asking it sample rows.

    Args:
        rows: a sample, as clients send them.
        seconds: how long each answer may take.
        times: how often; the first answer of a model is often its slowest by far.
    """

    async def warm(endpoint: Endpoint) -> None:
        for time_ in range(times):
            deadline = time.monotonic() + seconds
            await endpoint.answer(rows, Call(request_id=f"warm-{time_}", deadline=deadline))

    return warm
