"""The engine of local worker processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from gristmill.core.errors import StepError, UsageError
from gristmill.core.processes.place import allowed_processors
from gristmill.engine.failures import WorkerDiedError, check_count, name_of
from gristmill.engine.mapping import Mapping
from gristmill.engine.ordered_attempts import OrderedAttempts
from gristmill.engine.outcome import Outcome
from gristmill.engine.protocol import Actor
from gristmill.engine.worker import Worker, sendable

T = TypeVar("T")
R = TypeVar("R")
_ITEMS_AHEAD = 2
_TRIES = 3
_MOST_WORKERS = 1024


class LocalProcesses(Mapping):
    """Runs work in processes on this machine, each with one thread for numeric libraries.

    Processes start when first needed, serve one `map` after another, and end with the engine, with
    an error, or with Ctrl-C. They are spawned, so a script that uses them keeps its calls under
    `if __name__ == "__main__":`, and functions and items must be picklable.

    Args:
        workers: how many processes; by default one per processor that this process may use.

    Raises:
        UsageError: `workers` is less than 1, or more than 1,024.
    """

    name = "local"
    shares_files = True

    def __init__(self, workers: int | None = None) -> None:
        self.parallelism = len(allowed_processors()) if workers is None else workers
        check_count(self.parallelism)
        if self.parallelism > _MOST_WORKERS:
            raise UsageError(
                f"expected at most {_MOST_WORKERS:,} worker processes, found {self.parallelism:,}",
                fix="one for each processor does the most: leave the number out",
            )
        self._idle: list[Worker] = []
        self._jobs: list[_Job] = []
        self._actors: list[ProcessActor] = []

    def attempts(
        self, fn: Callable[[T], R], items: Iterable[T], /
    ) -> Generator[Outcome[R], None, None]:
        """See `Engine.attempts`. At most two items a worker are taken ahead of the outcomes."""
        return self._attempts(name_of(fn), sendable(fn), iter(items))

    def workers(
        self,
        n: int,
        factory: Callable[[int], object],
        /,
        *,
        cpus: float | None = None,
        gpus: float = 0,
    ) -> list[Actor]:
        """See `Engine.workers`. The actors are processes beside those of `map`."""
        check_count(n)
        sendable(factory)
        actors = [ProcessActor(rank) for rank in range(n)]
        self._actors += actors
        try:
            for built in [actor.build(factory) for actor in actors]:
                built.result()
        except BaseException:
            for actor in actors:
                actor.close()
            raise
        return list(actors)

    def close(self) -> None:
        """End all processes now, busy or not."""
        for job in self._jobs:
            job.cancel()
        for actor in self._actors:
            actor.close()
        for worker in self._idle:
            worker.stop()
        self._jobs, self._actors, self._idle = [], [], []

    def _attempts(
        self, name: str, payload: bytes, items: Iterator[Any]
    ) -> Generator[Outcome[Any], None, None]:
        job = _Job(name, payload, items, self._idle, self.parallelism)
        self._jobs.append(job)
        try:
            yield from job.outcomes()
        finally:
            self._idle += job.end()
            if job in self._jobs:
                self._jobs.remove(job)


@dataclass(slots=True)
class _Item:
    """An item under way: its number, and how often a worker died over it."""

    number: int
    value: Any
    deaths: int = 0


class _Job(OrderedAttempts):
    """Attempts under way: who works on what."""

    def __init__(
        self, name: str, payload: bytes, items: Iterator[Any], spare: list[Worker], limit: int
    ) -> None:
        super().__init__(name, items, _ITEMS_AHEAD * limit)
        self.payload, self.spare, self.limit = payload, spare, limit
        self.free: list[Worker] = []
        self.cancelled = False

    def cancel(self) -> None:
        """End the processes; whoever waits for an outcome, in any thread, gets an error."""
        self.cancelled, self.more = True, False
        for worker in [*self.free, *(worker for worker, _ in list(self.busy.values()))]:
            worker.kill()

    def end(self) -> list[Worker]:
        """Stop what still works, and give back the workers that are free."""
        for worker, _ in self.busy.values():
            worker.stop()
        kept, ended = ([], self.free) if self.cancelled else (self.free, [])
        for worker in ended:
            worker.stop()
        self.free, self.busy = [], {}
        return kept

    def _has_room(self) -> bool:
        return bool(self.free) or len(self.busy) < self.limit

    def _start(self, number: int, item: Any) -> None:
        self._begin(_Item(number, item))

    def _begin(self, item: _Item) -> None:
        try:
            worker = self.free.pop() if self.free else self._prepared(item)
            try:
                worker.call(None, item.value)
            except StepError:
                self.free.append(worker)
                raise
        except WorkerDiedError as error:
            self._died(item, error)
        except StepError as error:
            error.where = error.where or self._place(item.number)
            self.done[item.number] = Outcome(error=error)
        else:
            self.busy[worker.connection] = (worker, item)

    def _prepared(self, item: _Item) -> Worker:
        """Return a worker, kept from before or new, that has the function."""
        while self.spare:
            with suppress(WorkerDiedError):  # since it was kept
                return self._loaded(self.spare.pop(), item)
        return self._loaded(Worker(), item)

    def _loaded(self, worker: Worker, item: _Item) -> Worker:
        try:
            worker.load(self.payload)
            worker.receive(self._place(item.number)).get()
        except BaseException:
            worker.stop()
            raise
        return worker

    def _collect(self) -> None:
        for connection in wait(list(self.busy)):
            worker, item = self.busy.pop(cast("Connection", connection))
            outcome = worker.receive(self._place(item.number))
            if isinstance(outcome.error, WorkerDiedError):
                worker.stop()
                self._died(item, outcome.error)
            else:
                self.done[item.number] = outcome
                self.free.append(worker)

    def _died(self, item: _Item, error: WorkerDiedError) -> None:
        """Try an item again in another process, unless that has been done often enough."""
        item.deaths += 1
        if item.deaths < _TRIES and not self.cancelled:
            self._begin(item)
            return
        if item.deaths == _TRIES:
            error.message += f", in each of {_TRIES} tries"
        self.done[item.number] = Outcome(error=error)


class ProcessActor:
    """An object in a process of its own.

    A thread of this process carries the calls, so that neither side can block the other.
    """

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._worker = Worker()
        self._carrier = ThreadPoolExecutor(1, thread_name_prefix=f"gristmill-actor-{rank}")
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._worker.pid

    def build(self, factory: Callable[[int], object]) -> Future[Any]:
        """Make `factory(rank)` the object that is called."""
        where = f"{name_of(factory)}, worker {self._rank}"
        return self._carrier.submit(self._build, factory, where)

    def call(self, method: str, /, *args: Any) -> Future[Any]:
        """See `Actor.call`."""
        where = f"worker {self._rank}, {method}"
        if self._closed:
            future: Future[Any] = Future()
            future.set_exception(StepError("the worker is closed", where=where))
            return future
        return self._carrier.submit(self._call, method, args, where)

    def close(self) -> None:
        """End the process now; calls that wait are cancelled."""
        if self._closed:
            return
        self._closed = True
        self._worker.kill()
        self._carrier.shutdown(cancel_futures=True)
        self._worker.stop()

    def _build(self, factory: Callable[[int], object], where: str) -> None:
        self._worker.build(factory, self._rank)
        self._worker.receive(where).get()

    def _call(self, method: str, args: tuple[Any, ...], where: str) -> Any:
        try:
            self._worker.call(method, *args)
        except StepError as error:
            error.where = where
            raise
        return self._worker.receive(where).get()
