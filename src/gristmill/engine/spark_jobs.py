"""The Spark jobs of one `attempts`: one for each item, submitted by threads."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from gristmill.core.errors import StepError
from gristmill.engine.outcome import Outcome
from gristmill.engine.remote_attempt import unpacked
from gristmill.engine.spark_failures import ExecutorLostError, cancelled, lost
from gristmill.engine.spark_tasks import Place, Work, dumps, run_item

if TYPE_CHECKING:
    from pyspark import RDD, Broadcast

_MOST_AT_ONCE = 4096
_BROADCAST_BYTES = 2**20
_CANCEL_SECONDS = 0.2


class Jobs:
    """Jobs of one function, that can be cancelled together.

    Args:
        partition: an RDD of one partition, whatever is in it.
        name: of the function.
        payload: the pickled function.
        place: what workers are to find around them.
        at_once: how many jobs Spark may have at a time; None for all that are started.
    """

    def __init__(
        self, partition: RDD[int], name: str, payload: bytes, place: Place, at_once: int | None
    ) -> None:
        self._partition, self._context = partition, partition.context
        self._name, self._place = name, place
        self._key = uuid.uuid4().hex
        self._function = self._carried(payload)
        self._threads = ThreadPoolExecutor(at_once or _MOST_AT_ONCE, thread_name_prefix="spark-job")
        self._started: set[Future[Outcome[Any]]] = set()
        self._taken = 0
        self._ended = False
        self._turns = _Turns()

    def start(self, item: Any) -> Future[Outcome[Any]]:
        """Have Spark work on an item."""
        where = f"{self._name}, item {self._taken}"
        self._taken += 1
        if self._ended:
            return _failed(cancelled(where))
        try:
            message = dumps(item)
        except Exception as error:  # the item's own pickling may raise anything
            said = f"the item cannot be sent to a worker process: {error}"
            return _failed(StepError(said, where=where))
        job = self._threads.submit(self._run, message, where)
        self._started.add(job)
        job.add_done_callback(self._started.discard)
        return job

    def end(self) -> None:
        """Cancel what is under way, and return when it has ended; may be called again."""
        if self._ended:
            return
        self._ended = True
        self._threads.shutdown(wait=False)
        while running := set(self._started):
            # A job may be on its way to Spark, which forgets what was cancelled before.
            self._context.cancelJobGroup(self._key)
            wait(running, _CANCEL_SECONDS)
        if not isinstance(self._function, bytes):
            self._function.destroy()

    def _run(self, message: bytes, where: str) -> Outcome[Any]:
        with self._turns.turn(alone=False):
            outcome = self._tried(message, where)
        if isinstance(outcome.error, ExecutorLostError):
            # Maybe others were to blame: it tries again with nobody beside it.
            with self._turns.turn(alone=True):
                outcome = self._tried(message, where)
        return outcome

    def _tried(self, message: bytes, where: str) -> Outcome[Any]:
        if self._ended:
            return Outcome(error=cancelled(where))
        item = self._carried(message)
        work = Work(self._key, self._function, item, where, self._place)
        try:
            self._context.setJobGroup(self._key, where, interruptOnCancel=True)
            (found,) = self._partition.mapPartitions(partial(run_item, work)).collect()
        except Exception as error:  # Py4J's, with a Java stack trace
            return Outcome(error=lost(error, where))
        finally:
            if not isinstance(item, bytes):
                item.destroy()
        return unpacked(found, where)

    def _carried(self, message: bytes) -> bytes | Broadcast[bytes]:
        """Return what travels with a job, or for more than a MiB a value that workers fetch."""
        if len(message) < _BROADCAST_BYTES:
            return message
        return self._context.broadcast(message)


def _failed(error: StepError) -> Future[Outcome[Any]]:
    failed: Future[Outcome[Any]] = Future()
    failed.set_result(Outcome(error=error))
    return failed


@dataclass
class _Turns:
    """Lets jobs run beside each other, and now and then one alone."""

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _running: int = 0
    _waiting: int = 0

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait until nobody runs alone or wants to; or, to run alone, until nobody runs."""
        with self._changed:
            self._waiting += alone
            self._changed.wait_for(lambda: not (self._running if alone else self._waiting))
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._waiting -= alone
                self._changed.notify_all()
