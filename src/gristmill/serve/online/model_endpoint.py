"""One model behind a name: requests scheduled over its replicas, answers cached if asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gristmill.serve.online.asked import Asked
from gristmill.serve.online.deduplication import Deduplication
from gristmill.serve.online.endpoint import Answered, Call, Told
from gristmill.serve.online.engine import Engine
from gristmill.serve.online.refused import refusal
from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.request import Reason, Refused
from gristmill.serve.watch.metrics import Kind, Sample

if TYPE_CHECKING:
    from gristmill.serve.online.cache import AnswerCache
    from gristmill.serve.online.replica import Replica
    from gristmill.serve.protocol import Limits
    from gristmill.serve.runners.runner import Described
    from gristmill.serve.streams.streaming import Streaming
    from gristmill.store.bundle import Field


class ModelEndpoint:
    """Answers with one model.

    Args:
        runner: what the replicas run, or what is known of it: names, fields, the work of rows.
        replicas: what runs batches, one at least; closed with the endpoint.
        limits: how large a batch may be, and how much may wait.
        cache: keeps answers, and computes identical rows once while they are asked for at the same
            time; None does neither.
        route: tells apart answers of the same model that differ by where it is asked.
        clock: seconds; deadlines are on it.
        on_batch: told the rows and the model's seconds of every batch.
        name: what requests call it; by default the model's own name.
        streaming: who answers streams of pictures with the model, where anybody does; what it
            keeps is dropped with the endpoint.

    Attributes:
        engine: what schedules; its `tally` counts what happened.
    """

    def __init__(
        self,
        runner: Described,
        replicas: Sequence[Replica],
        *,
        limits: Limits | Bounds,
        cache: AnswerCache | None = None,
        route: str = "",
        clock: Callable[[], float] = time.monotonic,
        on_batch: Callable[[int, float], None] | None = None,
        name: str = "",
        streaming: Streaming | None = None,
    ) -> None:
        self.streaming = streaming
        self.name, self.runner, self.cache, self.route = name or runner.name, runner, cache, route
        bounds = limits if isinstance(limits, Bounds) else bounds_of(limits)
        self.engine = Engine(replicas, bounds, clock=clock, on_batch=on_batch)
        self._deduplication = None if cache is None else Deduplication(cache)

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self.runner.fingerprint

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Fields of a request."""
        return self.runner.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Fields of an answer."""
        return self.runner.outputs

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of `probs`; empty where it is no classifier."""
        return self.runner.classes

    @property
    def ready(self) -> bool:
        """Whether it can answer: a model in processes of its own may have lost all of them."""
        health = getattr(self.runner, "health", None)
        return health is None or bool(health().ready)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why processes of the model cannot be started, one line each."""
        health = getattr(self.runner, "health", None)
        return () if health is None else health().problems

    @property
    def waiting(self) -> int:
        """Rows that wait for a replica."""
        return self.engine.waiting

    def answer(self, rows: Rows, call: Call) -> Coroutine[Any, Any, Answered]:
        """Answer checked rows.

        Raises:
            Refusal: 503: not in time, queue full, or stopping.
            Exception: whatever the model raised on these rows.
        """
        # Not a coroutine around another one: that would cost every request one more.
        if self._deduplication is not None and rows.count:
            return self._deduplicated(self._deduplication, rows, call)
        return self._computed(rows, call)

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer`, without a coroutine; see `endpoint.Prompt`. None where there is a cache.

        Raises:
            Refusal: as `answer`.
        """
        if self._deduplication is not None:
            return None
        request = Asked(rows, self.runner.work(rows), call.deadline, call.priority)
        request.told = partial(self._tell, told)
        self.engine.admit(request)
        return partial(self.engine.withdraw, request)

    async def close(self) -> None:
        """Take no more requests, answer those that wait, end the replicas."""
        await self.engine.close()
        if self.streaming is not None:
            self.streaming.clear()

    def samples(self) -> Iterator[Sample]:
        """Yield the figures of this endpoint for the metrics page."""
        model, tally = {"model": self.name}, self.engine.tally
        fleet = self.engine.scheduler.fleet
        figures: list[tuple[str, Kind, str, float]] = [
            ("gristmill_queue_rows", "gauge", "Rows that wait for the model.", self.waiting),
            ("gristmill_batches_total", "counter", "Runs of the model.", tally.batches),
            ("gristmill_rows_total", "counter", "Rows that went through the model.", tally.rows),
            ("gristmill_model_seconds_total", "counter", "Time of the model.", tally.seconds),
            ("gristmill_late_total", "counter", "Answers after their deadline.", tally.late),
            ("gristmill_failed_total", "counter", "Requests the model failed on.", tally.failed),
            ("gristmill_batch_fixed_seconds", "gauge", "Time of a batch of no work.", fleet.fixed),
            ("gristmill_work_seconds", "gauge", "Time of a unit of work.", fleet.per_work),
        ]
        if self.cache is not None:
            cached = self.cache
            figures += [
                ("gristmill_cache_bytes", "gauge", "Bytes that the cache holds.", cached.nbytes),
                ("gristmill_cache_hits_total", "counter", "Rows found in it.", cached.hits),
                ("gristmill_cache_misses_total", "counter", "Rows not in it.", cached.misses),
            ]
        for name, kind, what, value in figures:
            yield Sample(name, kind, what, model, value)
        for code, count in sorted(tally.refused.items()):
            what = "Requests refused, by reason."
            yield Sample("gristmill_refused_total", "counter", what, {**model, "code": code}, count)
        of_replicas = getattr(self.runner, "samples", None)
        if of_replicas is not None:
            for sample in of_replicas():
                yield sample._replace(labels={**sample.labels, **model})

    def _tell(self, told: Told, outcome: Rows | Exception) -> None:
        if not isinstance(outcome, Exception):
            told(Answered(rows=outcome, model=self.runner.fingerprint))
        else:
            told(outcome)

    async def _computed(self, rows: Rows, call: Call) -> Answered:
        runner = self.runner
        request = Asked(rows, runner.work(rows), call.deadline, call.priority)
        if call.trace is not None:
            request.ran = call.trace.model(self.name)
        future = self.engine.submit(request)
        try:
            return Answered(rows=await future, model=runner.fingerprint)
        except asyncio.CancelledError:
            self.engine.withdraw(request)
            raise

    async def _deduplicated(self, deduplication: Deduplication, rows: Rows, call: Call) -> Answered:
        model = self.runner.fingerprint
        prefix = f"{model}\n{self.route}".encode()
        spare = call.deadline - self.engine.clock()

        async def compute(missing: Rows) -> Rows:
            return (await self._computed(missing, call)).rows

        try:
            answers, cached = await deduplication.answer(rows, prefix, compute, spare)
        except TimeoutError:
            refused = refusal(Refused(Reason.LATE, self.engine.scheduler.wait(self.engine.clock())))
            self.engine.tally.refuse(refused.code)
            raise refused from None
        return Answered(rows=answers, model=model, cached=cached)


def bounds_of(limits: Limits) -> Bounds:
    """Return the bounds of the scheduler for the limits of a server."""
    return Bounds(batch_rows=limits.max_batch, queue_rows=limits.max_queue)
