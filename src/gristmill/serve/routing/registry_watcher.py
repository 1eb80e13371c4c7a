"""A route that follows the model registry: what is promoted there answers here.

The champion of a model is the version promoted last. Promoting an earlier version again is how to
roll back; where that one is still kept, no file is read for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gristmill.core.errors import BundleError, GristmillError, ServeError
from gristmill.serve.watch.metrics import Sample
from gristmill.store.bundle import Bundle
from gristmill.store.decision import CHAMPION
from gristmill.store.project import Project
from gristmill.store.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.serve.routing.swappable import Swappable

log = logging.getLogger("gristmill.serve")
events = logging.getLogger("gristmill.serve.events")

OpenEndpoint = Callable[[Bundle], Awaitable["Endpoint"]]
"""Makes a checked bundle an endpoint that can answer."""

_FIRST_WAIT, _LONGEST_WAIT = 30.0, 1800.0


class _Refused(NamedTuple):
    """A version that could not answer: its name, seconds until it is tried again, from when."""

    name: str
    wait: float
    since: float

    def waits(self, name: str, now: float) -> bool:
        """Tell whether this version is not to be tried yet."""
        return name == self.name and now - self.since < self.wait

    def again(self, now: float) -> _Refused:
        """Return what to remember when it was refused once more: it waits for twice as long."""
        return _Refused(self.name, min(2 * self.wait, _LONGEST_WAIT), now)


class RegistryWatcher:
    """Swaps what a route answers with when an alias moves.

    Args:
        project: whose registry and artifacts; opened anew for each look.
        model: the name under which versions are registered.
        alias: which of its aliases is followed.
        route: what to swap; its version is `vN` while version N answers.
        open_endpoint: makes an endpoint of a bundle; runs in the event loop.
        every: seconds between looks.
        clock: seconds, of which only differences count.

    Attributes:
        failures: looks and swaps that failed; the route answered on all the while.
    """

    def __init__(
        self,
        project: Project,
        model: str,
        route: Swappable,
        open_endpoint: OpenEndpoint,
        *,
        alias: str = CHAMPION,
        every: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.alias, self.route, self.every = model, alias, route, every
        self._root, self._read_only = project.root, project.read_only
        self._open_endpoint = open_endpoint
        self._task: asyncio.Task[None] | None = None
        self._refused: _Refused | None = None
        self._clock = clock
        self._told = ""
        self.failures = 0

    def start(self) -> None:
        """Begin to look, in the running event loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Look no more; a swap under way is called off."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self) -> bool:
        """Swap if the champion has moved; say whether it was swapped.

        A version that could not be opened or warmed is tried again after half a minute, which
        doubles each time up to half an hour: there may not have been enough memory, or a file was
        put back. When the champion moves, the new one is tried at once.

        Raises:
            GristmillError: the registry cannot be read, or the new version is not fit to answer.
        """
        champion = await asyncio.to_thread(self._live)
        name = self.route.version if champion is None else version_name(champion)
        if self._refused is not None and self._refused.waits(name, self._clock()):
            return False
        if champion is None or name == self.route.version:
            self._refused = None
            return False
        before = self.route.version
        if name == self.route.previous:
            await self.route.roll_back()
        else:
            await self._swap(champion, name)
        self._refused = None
        self._tell_swap(before, name)
        return True

    def samples(self) -> Iterator[Sample]:
        """Yield how often following failed."""
        what = "Looks at the registry, or swaps to a new champion, that failed."
        labels = {"route": self.route.name, "model": self.model}
        yield Sample("gristmill_registry_failures_total", "counter", what, labels, self.failures)

    async def _swap(self, champion: ModelVersion, name: str) -> None:
        try:
            bundle = await asyncio.to_thread(self._opened, champion)
            await self.route.swap(await self._open_endpoint(bundle), name)
        except (BundleError, ServeError):
            # Of the version itself, not of the store: it would fail the same way at every look.
            now, before = self._clock(), self._refused
            if before is not None and before.name == name:
                self._refused = before.again(now)
            else:
                self._refused = _Refused(name, _FIRST_WAIT, now)
            raise

    def _live(self) -> ModelVersion | None:
        # A database that is open read-only may not see what others write to it.
        with Project(self._root, read_only=self._read_only) as project:
            return Registry(project).live(self.model, self.alias)

    def _opened(self, champion: ModelVersion) -> Bundle:
        with Project(self._root, read_only=self._read_only) as project:
            return registered_bundle(project, champion)

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:
                # A look that dies silently would leave the route behind for good.
                self.failures += 1
                self._tell(error)
            await asyncio.sleep(self.every)

    def _tell_swap(self, before: str, after: str) -> None:
        route, model = self.route.name, self.model
        fields = {"route": route, "model": model, "version": after, "before": before}
        text = "route %s: %s of %s answers now, before it %s"
        events.info(text, route, after, model, before, extra={"fields": fields})

    def _tell(self, error: Exception) -> None:
        if str(error) == self._told:
            return  # a store that cannot be read is looked at every few seconds
        self._told = str(error)
        known = isinstance(error, GristmillError)
        log.warning("route %s goes on as it is: %s", self.route.name, error, exc_info=not known)


def registered_bundle(project: Project, version: ModelVersion) -> Bundle:
    """Open and check the bundle of a registered version.

    Raises:
        BundleError: it is damaged.
        StoreError: the project no longer has it.
    """
    return Bundle.open(Path(project.artifacts.get(version.artifact)))


def version_name(version: ModelVersion) -> str:
    """Return what a route calls a registered version: `v3`."""
    return f"v{version.version}"
