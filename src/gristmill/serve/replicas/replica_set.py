"""Replicas of one model, kept alive: started, looked after, replaced, swapped, ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from gristmill.core.errors import GristmillError, ServeError, UsageError
from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.description import Description
from gristmill.serve.replicas.dispatcher import RETRY, Dispatcher
from gristmill.serve.replicas.health import Health
from gristmill.serve.replicas.launcher import Housing, Launcher, Model
from gristmill.serve.replicas.messages import Opened, Opening
from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.opening import BUNDLE_OPENER
from gristmill.serve.replicas.patience import Backoff, Care
from gristmill.serve.replicas.process_replica import ProcessReplica
from gristmill.serve.replicas.remote_replica import RemoteReplica
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.metrics import Sample
from gristmill.store.bundle import Bundle

log = logging.getLogger("gristmill.serve")

_MOST_DEPTH = 7
"""A process gets two descriptors for each batch it may hold, and 16 fit in a message."""
_TICKS = 10
_CLOSE_SECONDS = 10.0


class ReplicaSet(Description):
    """Processes that answer with one model; made by `start`, belongs to one event loop.

    It describes its model as a runner does, without loading it.

    Attributes:
        replicas: the places, for an engine to hand batches to.
    """

    def __init__(
        self, count: int, housing: Housing, care: Care, nursery: Nursery, *, own_nursery: bool
    ) -> None:
        self._care = care
        self._nursery, self._own_nursery = nursery, own_nursery
        self._launcher = Launcher(nursery, housing, care)
        self._dispatcher = Dispatcher(care.homeless)
        self.replicas = tuple(
            ProcessReplica(rank, housing.depth, self._dispatcher.submit, self._close_place)
            for rank in range(count)
        )
        self._dispatcher.places = self.replicas
        self._model: Model | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._swapping = asyncio.Lock()
        self._retiring: list[RemoteReplica] = []
        self._left = set(self.replicas)
        self._closed = False

    @classmethod
    async def start(
        cls,
        bundle: Bundle | Path | str,
        count: int,
        *,
        housing: Housing = Housing(),  # noqa: B008 - frozen
        care: Care = Care(),  # noqa: B008 - frozen
        warm: Rows | None = None,
        opener: str = BUNDLE_OPENER,
        nursery: Nursery | None = None,
    ) -> Self:
        """Start replicas; return when all of them have answered `warm`.

        Args:
            bundle: an open bundle, or its folder; each replica opens and checks it itself.
            count: how many processes.
            housing: threads, cores, memory: what each process gets.
            care: when a process counts as hung, and how soon it is replaced.
            warm: rows of the model's inputs, which each replica answers before it is ready: the
                first batch takes longer than others.
            opener: `module:function` that opens what `bundle` names, where that is no bundle
                (`opening.Opener`).
            nursery: where they are born, if several sets share one; it outlives the set.

        Raises:
            UsageError: an argument makes no sense.
            BundleError: the bundle is damaged or was tampered with.
            ServeError: its model fails on `warm`, or no process can be started.
        """
        _check(count, housing)
        own = nursery is None
        replicas = cls(count, housing, care, nursery or Nursery(), own_nursery=own)
        try:
            await replicas._start(_order(bundle, opener, housing), warm)
        except BaseException:
            await replicas.close(0.0)
            raise
        return replicas

    @property
    def opened(self) -> Opened:
        """The model: its name, fingerprint, inputs, outputs and classes.

        Raises:
            ServeError: the replicas were closed.
        """
        if self._model is None:
            raise ServeError("the replicas were closed")
        return self._model.opened

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that live."""
        return [place.process.pid for place in self.replicas if place.process is not None]

    def health(self) -> Health:
        """Say how many replicas live, and why others don't."""
        alive = sum(place.available for place in self.replicas)
        problems = tuple(
            f"replica {place.rank} cannot be started: {place.problem}"
            for place in self.replicas
            if place.problem is not None
        )
        ready = alive > 0 and not self._dispatcher.stopping
        counts = msgspec.structs.replace(self._dispatcher.counts)
        return Health(ready, alive, len(self.replicas), problems, counts)

    def samples(self) -> Iterator[Sample]:
        """Yield the figures of this set for the metrics page."""
        return self.health().samples(self.name)

    async def swap(
        self, bundle: Bundle | Path | str, *, warm: Rows | None = None, drain_seconds: float = 60.0
    ) -> None:
        """Answer with another model from now on, without a gap.

        Its replicas are started and warmed beside the old ones, which then answer what they have
        and end. Until the new ones are ready, and if anything goes wrong, nothing changes.

        Args:
            bundle: the new bundle, or its folder.
            warm: as in `start`; by default the rows given there.
            drain_seconds: what an old replica has not answered by then is run again by a new one.

        Raises:
            BundleError, ServeError: as `start`.
            UsageError: its inputs, outputs or classes are others: batches that wait were checked
                against the present ones.
        """
        async with self._swapping:
            before = self._model
            if before is None or self._stopping():
                raise ServeError("the replicas are being closed")
            order = msgspec.structs.replace(before.order, source=_source(bundle), fingerprint="")
            rows = before.warm if warm is None else warm
            model, processes = await self._launcher.start(order, rows, len(self.replicas))
            if self._stopping() or not _alike(before.opened, model.opened):
                await asyncio.gather(*(process.end(0.0) for process in processes))
                model.close()
                raise _cannot_swap(before.opened, model.opened)
            self._model = model
            old = [
                self._dispatcher.adopt(place, process)
                for place, process in zip(self.replicas, processes, strict=True)
            ]
            before.close()
            self._retiring = [process for process in old if process is not None]
            await asyncio.gather(*(process.end(drain_seconds) for process in self._retiring))
            self._retiring = []

    async def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Take no more batches, answer those that were taken, end all processes.

        What has no answer after `seconds` is refused.
        """
        if self._closed:
            return
        self._closed = self._dispatcher.stopping = True
        idle = [asyncio.ensure_future(place.idle.wait()) for place in self.replicas]
        await asyncio.wait(idle, timeout=seconds)
        for task in (*idle, *self._tasks):
            task.cancel()
        await asyncio.gather(*idle, *self._tasks, return_exceptions=True)
        for process in self._retiring:
            process.give_up("was ended while it ran")
        async with self._swapping:  # one that is under way sees that it came too late
            await self._end()

    def _stopping(self) -> bool:
        return self._dispatcher.stopping

    async def _start(self, order: Opening, warm: Rows | None) -> None:
        self._model, processes = await self._launcher.start(order, warm, len(self.replicas))
        for place, process in zip(self.replicas, processes, strict=True):
            self._dispatcher.adopt(place, process)
        self._tasks = [asyncio.ensure_future(self._tend(place)) for place in self.replicas]
        self._tasks.append(asyncio.ensure_future(self._watch()))

    async def _tend(self, place: ProcessReplica) -> None:
        """Put a new process in a place whenever it has none."""
        backoff = Backoff(self._care)
        while True:
            await place.vacant.wait()
            await asyncio.sleep(backoff.after(place.lived))
            place.lived = 0.0
            model = self._model
            if model is None or place.available:
                continue
            try:
                process = await self._launcher.another(model, place.rank)
            except (GristmillError, OSError) as error:
                log.warning("replica %d cannot be started: %s", place.rank, error)
                place.problem = error
                continue
            if place.process is not None or self._model is not model:
                await process.end(0.0)  # the model was swapped meanwhile
            else:
                self._dispatcher.adopt(place, process)

    async def _watch(self) -> None:
        """Look for processes that hang, and for batches that wait in vain."""
        pause = self._care.least / _TICKS
        before = time.monotonic()
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            late, before = now - before > 2 * pause, now
            if late:
                continue  # this process was held up itself: answers may lie there unread
            present = [place.process for place in self.replicas if place.process is not None]
            for process in (*present, *self._retiring):
                process.tick(now)
            self._dispatcher.tick(now)

    async def _close_place(self, place: ProcessReplica) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await place.idle.wait()
        self._left.discard(place)
        if not self._left:
            await self.close()

    async def _end(self) -> None:
        self._dispatcher.refuse(_STOPPED)
        processes = [place.process for place in self.replicas if place.process is not None]
        await asyncio.gather(*(process.end(0.0) for process in processes))
        self._dispatcher.refuse(_STOPPED)  # what those had not answered
        for place in self.replicas:
            place.vacate()
        if self._model is not None:
            self._model.close()
            self._model = None
        if self._own_nursery:
            self._nursery.close()


_STOPPED = Refusal(503, "stopping", "the server has stopped", headers=RETRY)


def _check(count: int, housing: Housing) -> None:
    if count < 1:
        raise UsageError(f"expected one replica or more, found {count}")
    if not 1 <= housing.depth <= _MOST_DEPTH:
        raise UsageError(f"expected a depth of 1 to {_MOST_DEPTH}, found {housing.depth}")
    if housing.threads < 1:
        raise UsageError(f"expected one thread or more, found {housing.threads}")


def _source(bundle: Bundle | Path | str) -> str:
    # Absolute: the nursery keeps the working directory that it was started in.
    return str(Path(bundle.folder if isinstance(bundle, Bundle) else bundle).absolute())


def _order(bundle: Bundle | Path | str, opener: str, housing: Housing) -> Opening:
    return Opening(opener, _source(bundle), housing.threads, housing.memory)


def _alike(before: Opened, after: Opened) -> bool:
    return (before.inputs, before.outputs, before.classes) == (
        after.inputs,
        after.outputs,
        after.classes,
    )


def _cannot_swap(before: Opened, after: Opened) -> GristmillError:
    if _alike(before, after):
        return ServeError("the replicas are being closed")
    return UsageError(
        f"expected a model with the inputs, outputs and classes of {before.name!r}, "
        f"found {after.name!r} with others",
        fix="serve it under a route of its own",
    )
