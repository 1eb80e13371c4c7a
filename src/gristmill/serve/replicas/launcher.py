"""Starting replica processes: born, their model opened, one batch run, and only then ready."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gristmill.core.errors import ServeError
from gristmill.serve.replicas.messages import Opened, Opening
from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.patience import Care, Patience
from gristmill.serve.replicas.remote_replica import RemoteReplica
from gristmill.serve.runners.rows import Rows


class Housing(msgspec.Struct, frozen=True):
    """What each replica of a set gets of the machine.

    Attributes:
        threads: threads of one operator.
        depth: batches that its process may hold at a time: 2 lets it begin the next one while the
            answer to the last one travels.
        cores: for each rank the cores it may run on, taken in turn; empty: any.
        nice: how much it gives way to other processes.
        memory: most bytes of memory of its own, besides what it has once its model is open; 0: no
            limit. One that needs more is replaced.
    """

    threads: int = 1
    depth: int = 1
    cores: tuple[tuple[int, ...], ...] = ()
    nice: int = 0
    memory: int = 0


@dataclass(frozen=True)
class Model:
    """What replicas open, as the first one has found it.

    Attributes:
        order: what further ones are told to open; they must find the same fingerprint.
        warm: rows that each one answers before it is ready.
        opened: what the model is.
        weights: descriptor of the weights that all of them share; None where nothing is shared.
        patience: how long a batch may take, by what all of them took.
    """

    order: Opening
    warm: Rows | None
    opened: Opened
    weights: int | None
    patience: Patience

    def close(self) -> None:
        """Let go of the weights; replicas keep theirs."""
        if self.weights is not None:
            os.close(self.weights)


class Launcher:
    """Starts the replicas of one set.

    Args:
        nursery: where they are born.
        housing: what they get.
        care: how long they may take.
    """

    def __init__(self, nursery: Nursery, housing: Housing, care: Care) -> None:
        self._nursery, self._housing, self._care = nursery, housing, care

    async def start(
        self, order: Opening, warm: Rows | None, count: int
    ) -> tuple[Model, list[RemoteReplica]]:
        """Start replicas of a model: the first loads the weights, which the others share.

        Raises:
            GristmillError: the model cannot be opened, or fails on the rows to warm up with; no
                process is left behind then.
        """
        patience = Patience(self._care)
        first, weights = await self._launch(0, order, None, warm, patience)
        if first.opened is None:
            raise ServeError("a replica was ready before it had opened a model")
        same = msgspec.structs.replace(order, fingerprint=first.opened.fingerprint)
        model = Model(same, warm, first.opened, weights, patience)
        launching = [asyncio.ensure_future(self.another(model, rank)) for rank in range(1, count)]
        try:
            return model, [first, *await asyncio.gather(*launching)]
        except BaseException:
            await _abandon(launching)
            first.give_up("is not needed")
            model.close()
            raise

    async def another(self, model: Model, rank: int) -> RemoteReplica:
        """Start one more replica of a model.

        Raises:
            GristmillError: it cannot be opened any more, as its bundle is gone or another one.
        """
        process, _ = await self._launch(
            rank, model.order, model.weights, model.warm, model.patience
        )
        return process

    async def _launch(
        self,
        rank: int,
        order: Opening,
        weights: int | None,
        warm: Rows | None,
        patience: Patience,
    ) -> tuple[RemoteReplica, int | None]:
        housing = self._housing
        cores = housing.cores[rank % len(housing.cores)] if housing.cores else ()
        newborn = await self._nursery.fork(threads=housing.threads, cores=cores, nice=housing.nice)
        process = RemoteReplica(newborn, housing.depth, self._care, patience)
        made = None
        try:
            made = await process.open(order, weights)
            if warm is not None:
                await process.check(warm)
        except BaseException:
            process.give_up("is not needed")
            if made is not None:
                os.close(made)
            raise
        return process, made


async def _abandon(launching: Sequence[asyncio.Future[RemoteReplica]]) -> None:
    for future in launching:
        future.cancel()
    for outcome in await asyncio.gather(*launching, return_exceptions=True):
        if isinstance(outcome, RemoteReplica):
            outcome.give_up("is not needed")
