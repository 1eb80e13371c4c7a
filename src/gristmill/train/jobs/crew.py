"""The worker processes of a run: started together, each reading the others' values."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from torch import Tensor

from gristmill.train.jobs.trial_host import TrialHost
from gristmill.train.records.pool import Pool
from gristmill.train.workers.nursery import Nursery
from gristmill.train.workers.payload import dumps
from gristmill.train.workers.remote_worker import RemoteWorker
from gristmill.train.workers.serving import Factory
from gristmill.train.workers.value_store import ValueStore


class Crew:
    """One worker process per device, each on one thread.

    Args:
        devices: how many.
        pool: the memory of records, which all of them map.
        factory: what lives in a worker.
    """

    def __init__(self, devices: int, pool: Pool, factory: Factory | None = None) -> None:
        self._pool = pool
        self._factory = dumps(factory or _host)
        self._nursery = Nursery()
        self.workers: dict[int, RemoteWorker] = {}
        self.on_start: Callable[[RemoteWorker], None] | None = None
        try:
            for rank in range(devices):
                self.start(rank)
        except BaseException:
            self.close()
            raise

    def start(self, rank: int) -> RemoteWorker:
        """Start the worker of a device, in the place of one that is gone if there was one."""
        gone = self.workers.pop(rank, None)
        if gone is not None:
            gone.close()
        worker = self._nursery.start(rank)
        worker.build(self._factory, self._pool)
        worker.receive().get(worker.name)
        for other in self.workers.values():
            if gone is not None:
                other.forget(gone.number)
            other.introduce(worker)
            worker.introduce(other)
        self.workers[rank] = worker
        return worker

    def close(self) -> None:
        """End all workers now."""
        for worker in self.workers.values():
            worker.close()
        self._nursery.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _host(rank: int, pool: Tensor | None, values: ValueStore) -> TrialHost:  # noqa: ARG001
    if pool is None:
        raise ValueError("a worker that trains needs a pool")
    return TrialHost(pool, values)
