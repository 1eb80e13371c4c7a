"""From a bundle to an endpoint that can answer: opened, checked, warmed, measured."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from gristmill.core.errors import BundleError, GristmillError, ServeError
from gristmill.core.progress import current
from gristmill.serve.online.cache import AnswerCache
from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.in_process import local_replica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.routing.swappable import warm_with
from gristmill.serve.runners.fit import check_fits
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.serve.server.sample import sample_rows
from gristmill.serve.server.watching import watched
from gristmill.serve.streams.streaming import streaming_of
from gristmill.store.bundle import Bundle

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.serve.online.replica import Replica
    from gristmill.serve.protocol import Limits
    from gristmill.serve.runners.runner import Described
    from gristmill.serve.server.settings import Settings
    from gristmill.serve.streams.streaming import Streaming

Source: TypeAlias = "Bundle | Path | str"
Sources: TypeAlias = "Source | Mapping[str, Source]"

_MEASURE_SECONDS = 0.3
_MOST_RUNS = 50


class Opened(NamedTuple):
    """A model that can answer.

    Attributes:
        model: what answers, to be warmed and measured.
        endpoint: the same, as requests should meet it: perhaps watched.
        sample: a row that it can answer.
    """

    model: ModelEndpoint
    endpoint: Endpoint
    sample: Rows


class Capacity(msgspec.Struct, frozen=True):
    """What a model did while it was warmed up.

    Attributes:
        rows_per_second: in full batches.
        seconds: the median of one row alone, through the whole engine.
    """

    rows_per_second: float
    seconds: float


def open_model(name: str, source: Source, settings: Settings) -> Opened:
    """Open and check a bundle, and run a sample through it, in this process.

    Args:
        name: what requests call it; empty for the bundle's own name.
        source: the bundle, or its folder.
        settings: threads, limits, cache, watch, streams.

    Raises:
        BundleError: the bundle is damaged or was tampered with.
        ServeError: its model fails on a sample row.
    """
    bundle = source if isinstance(source, Bundle) else Bundle.open(source)
    loaded = _loaded(bundle, settings)
    return _opened(name, bundle, settings, *loaded, streaming_of(bundle, settings.streams))


async def open_processes(name: str, source: Source, settings: Settings) -> Opened:
    """Do as `open_model`, with processes of their own for the model's replicas."""
    from gristmill.serve.replicas.launcher import Housing
    from gristmill.serve.replicas.replica_set import ReplicaSet

    bundle = source if isinstance(source, Bundle) else Bundle.open(source)
    check_fits(bundle)
    sample = sample_rows(bundle)
    housing = Housing(threads=settings.threads)
    try:
        processes = await ReplicaSet.start(bundle, settings.replicas, housing=housing, warm=sample)
    except BundleError:
        raise
    except GristmillError as error:
        raise _fails_on_sample(bundle, error) from error
    try:
        streaming = await asyncio.to_thread(streaming_of, bundle, settings.streams)
        return _opened(name, bundle, settings, processes, processes.replicas, sample, streaming)
    except BaseException:
        await processes.close(0.0)
        raise


async def open_endpoint(name: str, source: Source, settings: Settings) -> Opened:
    """Do as `open_model` or `open_processes`, as the settings say."""
    if settings.replicas:
        return await open_processes(name, source, settings)
    return open_model(name, source, settings)


async def open_beside(name: str, bundle: Bundle, settings: Settings) -> Endpoint:
    """Do as `open_endpoint` while the event loop goes on answering, and warm what was opened."""
    if settings.replicas:
        opened = await open_processes(name, bundle, settings)
    else:
        loaded = await asyncio.to_thread(_loaded, bundle, settings)
        streaming = await asyncio.to_thread(streaming_of, bundle, settings.streams)
        opened = _opened(name, bundle, settings, *loaded, streaming)
    try:
        full = Rows.concat([opened.sample] * _full(settings.limits))
        for rows in (opened.sample, full):
            await warm_with(rows)(opened.model)
    except BaseException as error:
        await opened.endpoint.close()
        if isinstance(error, Exception):
            raise _fails_on_sample(bundle, error) from error
        raise
    return opened.endpoint


async def measure(model: Endpoint, sample: Rows, limits: Limits) -> Capacity:
    """Answer a sample alone and in full batches, for a third of a second each at most."""
    count = _full(limits)
    one = await _timed(model, sample)
    full = await _timed(model, Rows.concat([sample] * count))
    return Capacity(count / min(full), statistics.median(one))


def _loaded(bundle: Bundle, settings: Settings) -> tuple[Described, list[Replica], Rows]:
    check_fits(bundle)
    runner = open_runner(bundle, threads=settings.threads)
    sample = sample_rows(bundle)
    try:
        replica = local_replica(runner, sample, settings.limits.max_batch)
    except Exception as error:
        raise _fails_on_sample(bundle, error) from error
    return runner, [replica], sample


def _opened(
    name: str,
    bundle: Bundle,
    settings: Settings,
    runner: Described,
    replicas: Sequence[Replica],
    sample: Rows,
    streaming: Streaming | None,
) -> Opened:
    for difference in bundle.differences_here():
        current().say(f"note: {name or bundle.name} was {difference}")
    cache = AnswerCache(settings.cache) if settings.cache else None
    model = ModelEndpoint(
        runner, replicas, limits=settings.limits, cache=cache, name=name, streaming=streaming
    )
    return Opened(model, watched(model, bundle, settings), sample)


def _full(limits: Limits) -> int:
    return min(limits.max_batch, limits.max_instances)


async def _timed(endpoint: Endpoint, rows: Rows) -> list[float]:
    """Return the seconds of several runs, the first one left out."""
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 2 or (
        len(times) < _MOST_RUNS and time.perf_counter() - began < _MEASURE_SECONDS
    ):
        call = Call(request_id="warm-up", deadline=time.monotonic() + 3600.0)
        before = time.perf_counter()
        await endpoint.answer(rows, call)
        times.append(time.perf_counter() - before)
    return times[1:]


def _fails_on_sample(bundle: Bundle, error: Exception) -> ServeError:
    said = error.message if isinstance(error, GristmillError) else str(error)
    return ServeError(f"the model fails on a sample record: {said}", where=str(bundle.folder))
