"""What it costs that a model runs in another process: time of a hop, of a start, and memory.

A hop is all that is not the model: rows made bytes, handed over, answers handed back, read. The
peer is the way of the standard library, `ProcessPoolExecutor` behind `run_in_executor`; both sides
run in one event loop, in turns, one batch at a time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import uvloop
from numpy.typing import NDArray

from claims import Claim, claim, main
from gristmill.data.features import HashedNgrams
from gristmill.serve.replicas.launcher import Housing
from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.process_replica import ProcessReplica
from gristmill.serve.replicas.replica_set import ReplicaSet
from gristmill.serve.runners.rows import Rows
from serve_echo import OPENER, in_another_process

SHAPES = {
    "1 row of 16 floats": (1, 16),
    "32 rows of 16 floats": (32, 16),
    "one image of 3x224x224 floats": (1, 3, 224, 224),
}
ROUNDS = 10
WORK_SECONDS = 0.002
BUCKETS = 2**22
TEXTS = Rows({"text": ["see you at six", "win a prize"]})


def measure(quick: bool) -> Iterator[Claim]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield from runner.run(collected(hops(quick)))
        yield from runner.run(collected(throughput(quick)))
        yield from runner.run(collected(bundles(quick)))


async def collected(claims: AsyncIterator[Claim]) -> list[Claim]:
    return [each async for each in claims]


async def hops(quick: bool) -> AsyncIterator[Claim]:
    nursery = Nursery(["serve_echo"])
    replicas = await ReplicaSet.start("/0", 1, opener=OPENER, nursery=nursery)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:

        async def pooled(x: NDArray[np.float32]) -> float:
            return (await loop.run_in_executor(pool, in_another_process, x))[1]

        async def ours(x: NDArray[np.float32]) -> float:
            return (await ask(replicas.replicas[0], Rows({"x": x})))[1]

        for name, shape in SHAPES.items():
            mine, theirs = await in_turns(np.ones(shape, np.float32), ours, pooled, quick)
            quickest = np.percentile(mine, 10) * 1e3
            yield claim(
                f"hop to a replica process and back, {name}", statistics.median(mine) * 1e3, "ms",
                "median over some thousand batches, one at a time; time until the answer is told, "
                "less the model's own seconds; uvloop; the quickest tenth below "
                f"{quickest:.3f} ms; peer: run_in_executor with a ProcessPoolExecutor, in turns",
                goal="< 0.2", peer=statistics.median(theirs) * 1e3,
            )  # fmt: skip
    await replicas.close()
    nursery.close()


async def in_turns(
    x: NDArray[np.float32],
    ours: Callable[[NDArray[np.float32]], Awaitable[float]],
    pooled: Callable[[NDArray[np.float32]], Awaitable[float]],
    quick: bool,
) -> tuple[list[float], list[float]]:
    """Return the seconds of each hop of both sides."""
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(2 if quick else ROUNDS):
        for found, side in ((mine, ours), (theirs, pooled)):
            for _ in range(50):
                await side(x)
            for _ in range(300):
                began = time.perf_counter()
                seconds = await side(x)
                found.append(time.perf_counter() - began - seconds)
    return mine, theirs


async def throughput(quick: bool) -> AsyncIterator[Claim]:
    """One process against two, where the model keeps Python busy."""
    nursery = Nursery(["serve_echo"])
    rates: dict[tuple[int, int], list[float]] = {}
    for _ in range(1 if quick else 5):
        for count, depth in ((1, 1), (1, 2), (2, 2)):
            replicas = await ReplicaSet.start(
                f"/{WORK_SECONDS}", count, opener=OPENER, nursery=nursery,
                housing=Housing(depth=depth),
            )  # fmt: skip
            rates.setdefault((count, depth), []).append(await rate(replicas, depth))
            await replicas.close()
    nursery.close()
    rate_of = {key: statistics.median(found) for key, found in rates.items()}
    yield claim(
        "2 replica processes against 1: batches a second", rate_of[2, 2] / rate_of[1, 2], "x",
        f"a model that takes {WORK_SECONDS * 1e3:.0f} ms of Python a batch; "
        f"{rate_of[2, 2]:.0f} against {rate_of[1, 2]:.0f} batches/s on {os.cpu_count()} cores, "
        f"on which the event loop runs, too; 1 process that is handed one batch at a time: "
        f"{rate_of[1, 1]:.0f}; one process without any hop: {1 / WORK_SECONDS:.0f} at most",
        more_is_better=True,
    )  # fmt: skip


async def rate(replicas: ReplicaSet, depth: int) -> float:
    rows, end, done = Rows({"x": np.ones((8, 16), np.float32)}), time.monotonic() + 1.0, 0

    async def drive(place: ProcessReplica) -> None:
        nonlocal done
        while time.monotonic() < end:
            await ask(place, rows)
            done += 1

    began = time.monotonic()
    places = [place for place in replicas.replicas for _ in range(depth)]
    await asyncio.gather(*(drive(place) for place in places))
    return done / (time.monotonic() - began)


async def bundles(quick: bool) -> AsyncIterator[Claim]:
    """A real bundle: how soon a dead replica is replaced, and what a further one costs."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = big_bundle(Path(folder) / "big")
        began = time.perf_counter()
        replicas = await ReplicaSet.start(bundle, 3, warm=TEXTS)
        first = time.perf_counter() - began
        back = [await replaced(replicas) for _ in range(2 if quick else 7)]
        memory = [private_bytes(pid) for pid in replicas.pids]
        weights = sum(entry.stat().st_size for entry in bundle.glob("*.safetensors"))
        await replicas.close()
    yield claim(
        "a replica that was killed answers again after", statistics.median(back) * 1e3, "ms",
        f"kill -9 until the new one has opened the bundle ({weights / 1e6:.0f} MB of weights), "
        "checked every file of it and answered a batch; the very first ones were ready after "
        f"{first:.1f} s; peer: a new interpreter until PyTorch is imported",
        peer=statistics.median(fresh() for _ in range(1 if quick else 3)) * 1e3,
        more_is_better=False,
    )  # fmt: skip
    yield claim(
        "private memory of each of 3 replicas", statistics.median(memory) / 1e6, "MB",
        f"of a model with {weights / 1e6:.0f} MB of weights, which all of them map; after "
        "answering; the peer's figure adds the weights, as if each had loaded them",
        peer=(statistics.median(memory) + weights) / 1e6, more_is_better=False,
    )  # fmt: skip


def big_bundle(folder: Path) -> Path:
    from gristmill.train.bundle import bundle_model
    from gristmill.train.text.text_models import BagOfNgrams

    featurizer = HashedNgrams(buckets=BUCKETS)
    module = BagOfNgrams(BUCKETS, 2)
    bundle_model(module, folder, name="big", classes=["ham", "spam"], featurizer=featurizer)
    return folder


async def replaced(replicas: ReplicaSet) -> float:
    """Kill a replica that has lived for long; return the seconds until there is another."""
    place = replicas.replicas[0]
    await asyncio.sleep(0.2)
    assert place.process is not None
    place.process.born -= 3600.0
    before, began = place.process, time.perf_counter()
    os.kill(before.pid, signal.SIGKILL)
    while place.process in (before, None):
        await asyncio.sleep(0.001)
    await ask(place, TEXTS)
    return time.perf_counter() - began


def fresh() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = dict(line.split(":") for line in lines)
    return sum(int(found[f"Private_{kind}"].split()[0]) for kind in ("Dirty", "Clean")) * 1024


async def ask(place: ProcessReplica, rows: Rows) -> tuple[Rows, float]:
    told = asyncio.get_running_loop().create_future()
    place.start(rows, lambda *outcome: told.set_result(outcome))
    answer, seconds = await told
    assert isinstance(answer, Rows), answer
    return answer, seconds


if __name__ == "__main__":
    sys.exit(main(measure))
