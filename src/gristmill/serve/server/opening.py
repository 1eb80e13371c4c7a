"""From bundles to what is served: opened, checked, warmed, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from gristmill.core.errors import BundleError, GristmillError, ServeError
from gristmill.serve.online.cache import AnswerCache
from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.in_process import local_replica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.protocols.served import Served
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.serve.server.sample import sample_rows
from gristmill.store.bundle import Bundle

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.serve.online.replica import Replica
    from gristmill.serve.runners.runner import Described
    from gristmill.serve.server.settings import Settings

Source: TypeAlias = "Bundle | Path | str"
Sources: TypeAlias = "Source | Mapping[str, Source]"

_MEASURE_SECONDS = 0.3
_MOST_RUNS = 50


class Capacity(msgspec.Struct, frozen=True):
    """What a model did while it was warmed up.

    Attributes:
        rows_per_second: in full batches.
        seconds: the median of one row alone, through the whole engine.
    """

    rows_per_second: float
    seconds: float


def named_sources(sources: Sources) -> dict[str, Source]:
    """Return sources by the name that they are served under; empty for the bundle's own."""
    return dict(sources) if isinstance(sources, Mapping) else {"": sources}


def open_model(name: str, source: Source, settings: Settings) -> tuple[Served, Rows]:
    """Open and check a bundle, run a sample through it, and return what serves it in this process.

    Returns:
        What is served, and the sample row.

    Raises:
        BundleError: the bundle is damaged or was tampered with.
        ServeError: its model fails on a sample row.
    """
    bundle = source if isinstance(source, Bundle) else Bundle.open(source)
    runner = open_runner(bundle, threads=settings.threads)
    sample = sample_rows(bundle)
    full = Rows.concat([sample] * settings.limits.max_batch)
    try:
        replica = local_replica(runner, full)
    except Exception as error:
        raise _fails_on_sample(bundle, error) from error
    endpoint = _endpoint(runner, [replica], settings)
    return Served(endpoint, settings.limits, name or bundle.name, settings.schema), sample


async def open_processes(name: str, source: Source, settings: Settings) -> tuple[Served, Rows]:
    """Do as `open_model`, with processes of their own for the model's replicas."""
    from gristmill.serve.replicas.launcher import Housing
    from gristmill.serve.replicas.replica_set import ReplicaSet

    bundle = source if isinstance(source, Bundle) else Bundle.open(source)
    sample = sample_rows(bundle)
    housing = Housing(threads=settings.threads)
    try:
        processes = await ReplicaSet.start(bundle, settings.replicas, housing=housing, warm=sample)
    except BundleError:
        raise
    except GristmillError as error:
        raise _fails_on_sample(bundle, error) from error
    endpoint = _endpoint(processes, processes.replicas, settings)
    served = Served(endpoint, settings.limits, name or bundle.name, settings.schema)
    served.health = processes.health
    return served, sample


def _endpoint(runner: Described, replicas: Sequence[Replica], settings: Settings) -> ModelEndpoint:
    cache = AnswerCache(settings.cache) if settings.cache else None
    return ModelEndpoint(runner, replicas, limits=settings.limits, cache=cache)


async def measure(served: Served, sample: Rows) -> Capacity:
    """Answer a sample alone and in full batches, for a third of a second each at most."""
    count = min(served.limits.max_batch, served.limits.max_instances)
    one = await _timed(served.endpoint, sample)
    full = await _timed(served.endpoint, Rows.concat([sample] * count))
    return Capacity(count / min(full), statistics.median(one))


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
