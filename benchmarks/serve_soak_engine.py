"""The engine over replica processes, all of them in danger: the first part of `serve_soak.py`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.launcher import Housing
from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.patience import Care
from gristmill.serve.replicas.process_replica import ProcessReplica
from gristmill.serve.replicas.replica_set import ReplicaSet
from gristmill.serve.replicas.task import Done
from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.bounds import Bounds
from serve_echo import OPENER, POISON
from serve_soak_processes import own_bytes

CLIENTS = 48
CARE = Care(least=1.0, ping=0.5, pong=2.0, first_pause=0.02, longest_pause=0.5, settled=2.0)
DEADLINE_SECONDS = 20.0
MODELS = ("/0.0002", "/0.0005")
FIRST = ("kill", "kill", "kill", "kill", "stop", "nursery", "swap", "poison", "poison")


class Places:
    """Places of a set that count what they are told: once for each batch, or it is a fault."""

    def __init__(self, place: ProcessReplica, counts: Counter[str]) -> None:
        self.place, self.counts = place, counts
        self.rank, self.depth = place.rank, place.depth

    def start(self, rows: Rows, done: Done) -> None:
        told = False

        def once(outcome: Rows | Exception, seconds: float) -> None:
            nonlocal told
            self.counts["batches told twice"] += told
            self.counts["batches told"] += 1
            told = True
            done(outcome, seconds)

        self.counts["batches"] += 1
        self.place.start(rows, once)

    async def close(self) -> None:
        await self.place.close()


class Soak:
    """The engine over replicas in this process, and what came of its requests."""

    def __init__(self, seconds: float, seed: int = 0) -> None:
        self.seconds, self.chance = seconds, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.memory: list[float] = []
        self.files: list[int] = []

    async def run(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self.fault)
        nursery = Nursery(["serve_echo"])
        replicas = await ReplicaSet.start(
            MODELS[0], 3, opener=OPENER, nursery=nursery, care=CARE, housing=Housing(depth=2)
        )
        places = [Places(place, self.counts) for place in replicas.replicas]
        endpoint = ModelEndpoint(replicas, places, limits=Bounds(batch_rows=32))
        self.end = time.monotonic() + self.seconds
        await asyncio.gather(
            self.torment(replicas, nursery, endpoint),
            self.watch(replicas),
            *(self.drive(endpoint) for _ in range(CLIENTS)),
        )
        await endpoint.close()
        nursery.close()

    def fault(self, _: object, context: dict[str, object]) -> None:
        self.counts["faults in callbacks"] += 1
        print(context, file=sys.stderr)

    async def drive(self, endpoint: ModelEndpoint) -> None:
        while time.monotonic() < self.end:
            values = np.full((self.chance.randint(1, 4), 16), self.chance.randint(1, 500), float)
            await self.ask(endpoint, values)
            await asyncio.sleep(self.chance.expovariate(200.0))

    async def ask(self, endpoint: ModelEndpoint, values: np.ndarray) -> None:
        self.counts["requests"] += 1
        call = Call(request_id="", deadline=time.monotonic() + DEADLINE_SECONDS)
        try:
            answered = await asyncio.wait_for(endpoint.answer(Rows({"x": values}), call), 60.0)
        except Refusal as refusal:
            self.counts[f"refused: {refusal.code}"] += 1
        except TimeoutError:
            self.counts["never answered"] += 1
        except Exception as error:
            self.counts[f"failed: {type(error).__name__}"] += 1
        else:
            right = np.array_equal(np.asarray(answered.rows["y"]), 2 * values[:, 0])
            self.counts["answered" if right else "answered wrongly"] += 1

    async def torment(
        self, replicas: ReplicaSet, nursery: Nursery, endpoint: ModelEndpoint
    ) -> None:
        while time.monotonic() < self.end:
            await asyncio.sleep(self.chance.uniform(0.02, 0.5))
            event = self.chance.choice(FIRST)
            self.events[event] += 1
            with suppress(ProcessLookupError):
                if event == "swap":
                    await replicas.swap(self.chance.choice(MODELS))
                elif event == "poison":
                    await self.poison(endpoint)
                elif event == "nursery":
                    os.kill(nursery.pid, signal.SIGKILL) if nursery.pid else None
                elif replicas.pids:
                    number = signal.SIGKILL if event == "kill" else signal.SIGSTOP
                    os.kill(self.chance.choice(replicas.pids), number)

    async def poison(self, endpoint: ModelEndpoint) -> None:
        """Ask what no process survives; it is among other requests' rows in its batch."""
        call = Call(request_id="", deadline=time.monotonic() + DEADLINE_SECONDS)
        try:
            await endpoint.answer(Rows({"x": np.full((1, 16), POISON)}), call)
        except Refusal as refusal:
            self.counts[f"poison refused: {refusal.code}"] += 1
        else:
            self.counts["answered wrongly"] += 1

    async def watch(self, replicas: ReplicaSet) -> None:
        while time.monotonic() < self.end:
            await asyncio.sleep(min(1.0, self.seconds / 10))
            self.memory.append(own_bytes(os.getpid()) / 1e6)
            self.files.append(len(list(Path("/proc/self/fd").iterdir())))

    def growth(self) -> float:
        """Return by how many MB memory grew from the second to the last quarter, medians."""
        quarter = len(self.memory) // 4
        early, late = self.memory[quarter : 2 * quarter], self.memory[-quarter:]
        return float(np.median(late) - np.median(early))
