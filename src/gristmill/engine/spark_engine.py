"""The engine of Spark clusters."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from gristmill.core.errors import UsageError
from gristmill.engine.failures import check_count, name_of, not_sendable
from gristmill.engine.mapping import Mapping
from gristmill.engine.outcome import Outcome
from gristmill.engine.remote_attempt import Shipment
from gristmill.engine.spark_code import archived
from gristmill.engine.spark_failures import not_fitting
from gristmill.engine.spark_jobs import Jobs
from gristmill.engine.spark_session import Session, interrupts_heard
from gristmill.engine.spark_tasks import Place, dumps, versions_here
from gristmill.engine.versions import check_workers

if TYPE_CHECKING:
    from pyspark import SparkContext

T = TypeVar("T")
R = TypeVar("R")
_ITEMS_AHEAD = 2
_SLOTS_SECONDS = 1.0
"""How often Spark is asked for its processors: a few calls of Java for each of its executors."""
_LARGEST_BYTES = 2**31 - 2**20
_END = object()


class SparkEngine(Mapping):
    """Runs work on a Spark cluster, one Spark job for each item.

    So each item fails, is tried again and comes back by itself. Spark's queue holds a few jobs more
    than there are processors, and a processor that is free finds the next one there. Functions
    travel by cloudpickle, so that those of a notebook work, too.

    Args:
        master: see `Session`.
        workers: how many items are worked on at once; by default as many as the application's
            processors allow at the moment.
        code: a folder of the user's modules that all machines get a copy of and import from.

    Raises:
        UsageError: Spark cannot be started or joined, its workers have another Python or another
            gristmill, or `workers` is less than 1.
    """

    name = "spark"

    def __init__(
        self, master: str | None = None, *, workers: int | None = None, code: Path | None = None
    ) -> None:
        if workers is not None:
            check_count(workers)
        self._workers = workers
        self._session = Session(master, processors=workers)
        self._context = self._session.context
        self._jobs: list[Jobs] = []
        self._closed = False
        try:
            with interrupts_heard():
                # What a job computes is in its function; all are made of this one empty partition.
                self._partition = self._context.parallelize([0], 1)
                self._threads = int(self._context.getConf().get("spark.task.cpus", "1"))
                self._code = () if code is None else (self._sent(code),)
                self._result_bytes = _result_bytes(self._context)
                if self._session.is_unknown:
                    self.check_versions()
                self.parallelism = self._slots()
        except BaseException:
            self._session.leave()
            raise

    def attempts(
        self, fn: Callable[[T], R], items: Iterable[T], /
    ) -> Generator[Outcome[R], None, None]:
        """See `Engine.attempts`. At most two items a processor are taken ahead of the outcomes."""
        try:
            payload = dumps(Shipment.of(dumps(fn)))
        except Exception as error:
            raise not_sendable(fn, str(error)) from error
        return self._attempts(name_of(fn), payload, iter(items))

    def workers(
        self,
        n: int,
        factory: Callable[[int], object],
        /,
        *,
        cpus: float | None = None,
        gpus: float = 0,
    ) -> NoReturn:
        """Refuse: what Spark runs keeps no state.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "Spark runs functions over parts of data and has no workers that keep state",
            where="engine spark",
            fix="use engine 'local' or 'ray' for this; what maps over data runs on Spark",
        )

    def check_versions(self) -> None:
        """Ask all workers what they have installed; done when the connection is new.

        Raises:
            UsageError: they cannot tell, or have another Python, Polars or gristmill.
        """
        tasks = self._slots()
        spread = self._context.parallelize(range(tasks), tasks)
        try:
            found = dict(spread.mapPartitions(versions_here).collect())
        except Exception as error:  # Py4J's, with a Java stack trace
            raise not_fitting(error, self._context.pythonExec) from error
        check_workers(self.name, found, "install the same versions on all machines")

    def close(self) -> None:
        """End all jobs now, and a Spark that was started for them."""
        if self._closed:
            return
        self._closed = True
        for jobs in self._jobs:
            jobs.end()
        self._jobs = []
        self._session.leave()

    def _attempts(
        self, name: str, payload: bytes, items: Iterator[Any]
    ) -> Generator[Outcome[Any], None, None]:
        place = Place(self._code, self._threads, self._result_bytes)
        jobs = Jobs(self._partition, name, payload, place, self._workers)
        self._jobs.append(jobs)
        try:
            yield from self._in_order(jobs, items)
        finally:
            jobs.end()
            if jobs in self._jobs:
                self._jobs.remove(jobs)

    def _in_order(self, jobs: Jobs, items: Iterator[Any]) -> Iterator[Outcome[Any]]:
        ahead: deque[Future[Outcome[Any]]] = deque()
        more, due = True, -math.inf
        while True:
            if time.monotonic() >= due:
                with interrupts_heard():
                    self.parallelism = self._slots()
                due = time.monotonic() + _SLOTS_SECONDS
            while more and len(ahead) < _ITEMS_AHEAD * self.parallelism:
                item = next(items, _END)
                if item is _END:
                    more = False
                else:
                    ahead.append(jobs.start(item))
            if not ahead:
                return
            yield ahead.popleft().result()

    def _sent(self, code: Path) -> str:
        """Have Spark unpack a folder on all machines, and return the name that it has there."""
        archive = archived(code, Path(self._context._temp_dir))
        self._context.addArchive(f"{archive}#{archive.stem}")
        return archive.stem

    def _slots(self) -> int:
        """Return how many tasks Spark runs at once; that grows and shrinks with the cluster."""
        if self._workers is not None:
            return self._workers
        if self._closed:
            return self.parallelism
        executors: Any = self._context._jsc.sc().statusStore().executorList(True)
        cores: int = sum(executors.apply(i).totalCores() for i in range(executors.size()))
        return max(1, cores // self._threads)


def _result_bytes(context: SparkContext) -> int:
    """Return how large a result may be: what the driver accepts, and never 2 GiB."""
    spark: Any = context._jsc.sc()
    limit = spark.conf().getSizeAsBytes("spark.driver.maxResultSize", "1g")
    return min(limit - 2**20 if limit else _LARGEST_BYTES, _LARGEST_BYTES)
