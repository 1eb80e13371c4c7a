"""The workers of one run: one per device, each with a target, which read each other's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gristmill.core.closing import Closing
from gristmill.train.records.pool import Pool
from gristmill.train.workers.machine import Device
from gristmill.train.workers.nursery import Nursery, nursery
from gristmill.train.workers.payload import dumps
from gristmill.train.workers.remote_worker import RemoteWorker
from gristmill.train.workers.value_handle import Handle
from gristmill.train.workers.value_store import ValueStore

_READER = -1


class Crew(Closing):
    """Workers 0 to n - 1, on the devices in order; a context manager that ends them.

    Args:
        devices: one worker runs on each.
        factory: `(rank, pool, values) -> target`, called in each worker; see `serving.Factory`.
        pool: memory of the records, which every worker maps.
        values_bytes: most memory for boundary values of one worker; None: all that there is.
        born_in: the nursery; None: the one of this process.

    Raises:
        TrainError: the factory cannot be sent, or a worker cannot be started.
        GristmillError: what the factory raised in a worker.

    Attributes:
        devices: as handed in.
        workers: by rank.
        values: reads the workers' boundary values in this process.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        factory: Any,
        *,
        pool: Pool | None = None,
        values_bytes: int | None = None,
        born_in: Nursery | None = None,
    ) -> None:
        self.devices = tuple(devices)
        self._factory = dumps(factory)
        self._pool = pool
        self._values_bytes = values_bytes
        self._nursery = born_in
        self.workers: list[RemoteWorker] = []
        self.values = ValueStore(_READER, None)
        try:
            for rank in range(len(self.devices)):
                self._add(rank)
            self._await_built(self.workers)
        except BaseException:
            self.close()
            raise

    def owner(self, handle: Handle) -> RemoteWorker | None:
        """Return the worker that holds a value; None if it has been lost."""
        return next((one for one in self.workers if one.number == handle.owner), None)

    def free(self, handles: Sequence[Handle]) -> None:
        """Tell the owners that these values are not needed; those of lost workers are gone."""
        by_owner: dict[int, list[Handle]] = {}
        for handle in handles:
            by_owner.setdefault(handle.owner, []).append(handle)
        for mine in by_owner.values():
            if (worker := self.owner(mine[0])) is not None:
                worker.free(mine)

    def replace(self, rank: int, factory: Any = None) -> RemoteWorker:
        """End worker `rank`, dead or alive, and start another in its place.

        Args:
            rank: of the worker.
            factory: of its target and of later ones; None for the one before.

        Its values are lost to everybody; a tensor that still points there stays readable.
        """
        if factory is not None:
            self._factory = dumps(factory)
        gone = self.workers[rank]
        gone.close()
        for worker in self.workers:
            if worker is not gone:
                worker.forget(gone.number)
        self.values.forget(gone.number)
        worker = self._add(rank)
        self._await_built([worker])
        return worker

    def close(self) -> None:
        """End all workers and wait until they are gone."""
        for worker in self.workers:
            worker.kill()  # all at once, before waiting for each
        for worker in self.workers:
            worker.close()
        self.values.close()

    def _add(self, rank: int) -> RemoteWorker:
        device = self.devices[rank]
        cradle = self._nursery or nursery()
        worker = cradle.start(
            rank, threads=device.threads, cores=device.cores, values_bytes=self._values_bytes
        )
        worker.build(self._factory, self._pool)
        for other in self.workers:
            if other.rank != rank:
                other.introduce(worker)
                worker.introduce(other)
        self.values.introduce(worker.number, Pool.attach(worker.values.fd, worker.values.nbytes))
        self.workers[rank:] = [worker, *self.workers[rank + 1 :]]
        return worker

    @staticmethod
    def _await_built(workers: Sequence[RemoteWorker]) -> None:
        for worker in workers:
            worker.receive().get(worker.name)
