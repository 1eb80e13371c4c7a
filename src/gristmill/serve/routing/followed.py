"""A name behind which the champion of a model registry answers, whichever that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gristmill.serve.routing.swappable import Swappable
from gristmill.serve.watch.metrics import Sample
from gristmill.store.decision import CHAMPION

if TYPE_CHECKING:
    from gristmill.serve.routing.registry_watcher import RegistryWatcher


class Followed(Swappable):
    """A swappable endpoint that swaps itself: it follows a registry until it is closed."""

    _watcher: RegistryWatcher | None = None

    def follow(self, watcher: RegistryWatcher) -> None:
        """Begin to look, in the running event loop, by a watcher of this route."""
        self._watcher = watcher
        watcher.start()

    def about(self) -> dict[str, object]:
        """Return what the server tells of it: which version of which model answers."""
        model = self.name if self._watcher is None else self._watcher.model
        alias = CHAMPION if self._watcher is None else self._watcher.alias
        says = f"registry: {self.version} of {model}, its {alias}"
        return {"kind": "registry", "models": [model], "version": self.version, "says": says}

    async def close(self) -> None:
        """Look no more, then close what answers and what was kept."""
        if self._watcher is not None:
            await self._watcher.stop()
        await super().close()

    def samples(self) -> Iterator[Sample]:
        """Yield what answers, how often following failed, and the endpoint's own figures."""
        yield from super().samples()
        if self._watcher is not None:
            yield from self._watcher.samples()
