"""Load for five minutes while replicas, their nursery and the server are killed at random.

First the engine over replica processes in this process: besides being killed, replicas are stopped,
get rows that end them, and the model is swapped. Then a server over HTTP with replicas of its own,
which is itself killed now and then. Every request has to get exactly one answer, the right one, or
a refusal that says why; memory and open files have to stay where they were.

    python benchmarks/serve_soak.py [--seconds 300] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import uvloop

from claims import Claim, claim, main
from gristmill.core.errors import GristmillError
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
from gristmill.serve.server.process import ServerProcess
from gristmill.serve.server.settings import Settings
from serve_echo import OPENER, POISON

CLIENTS, HTTP_CLIENTS = 48, 8
CARE = Care(least=1.0, ping=0.5, pong=2.0, first_pause=0.02, longest_pause=0.5, settled=2.0)
DEADLINE_SECONDS = 20.0
QUICK_SECONDS = 20.0
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
            self.memory.append(private_bytes(os.getpid()) / 1e6)
            self.files.append(len(list(Path("/proc/self/fd").iterdir())))

    def growth(self) -> float:
        """Return by how many MB memory grew from the second to the last quarter, medians."""
        quarter = len(self.memory) // 4
        early, late = self.memory[quarter : 2 * quarter], self.memory[-quarter:]
        return float(np.median(late) - np.median(early))


class HttpSoak:
    """A server with replicas, over HTTP; both are killed, the server is then started again."""

    def __init__(self, seconds: float, bundle: Path, seed: int = 0) -> None:
        self.seconds, self.bundle, self.chance = seconds, bundle, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.server = self.start()
        self.expected = self.server.client.predict([{"text": "win a prize"}])[0].prob

    def start(self) -> ServerProcess:
        return ServerProcess.start(self.bundle, Settings(replicas=2, log_level="error"))

    def run(self) -> None:
        self.end = time.monotonic() + self.seconds
        threads = [threading.Thread(target=self.drive) for _ in range(HTTP_CLIENTS)]
        for thread in threads:
            thread.start()
        next_restart = time.monotonic() + 5.0
        while time.monotonic() < self.end:
            time.sleep(self.chance.uniform(0.1, 1.0))
            if time.monotonic() > next_restart:
                self.kill_server()
                next_restart = time.monotonic() + 20.0
            else:
                self.kill_replica()
        for thread in threads:
            thread.join()
        self.note("server's exit code was not 0", self.server.stop() != 0)

    def drive(self) -> None:
        while time.monotonic() < self.end:
            self.note("requests")
            server = self.server
            try:
                found = server.client.predict([{"text": "win a prize"}])[0].prob
            except Refusal as refusal:
                self.note(f"refused: {refusal.status} {refusal.code}")
            except (GristmillError, OSError):
                gone = server is not self.server or not alive(server.pid)
                self.note("cut off by the server's death" if gone else "failed")
                time.sleep(0.05)
            else:
                self.note("answered" if abs(found - self.expected) < 1e-6 else "answered wrongly")

    def kill_replica(self) -> None:
        pids = [pid for pid in group_of(self.server.pid) if parent_of(pid) != self.server.pid]
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), signal.SIGKILL)
                self.note("replicas killed")

    def kill_server(self) -> None:
        born = group_of(self.server.pid)
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.stop()
        self.note("servers killed")
        wait_for(lambda: not any(alive(pid) for pid in born))
        self.note("orphans", sum(alive(pid) for pid in born))
        self.server = self.start()

    def note(self, what: str, count: int = 1) -> None:
        with self.lock:
            self.counts[what] += count


def measure_for(seconds: float | None) -> Callable[[bool], Iterator[Claim]]:
    def measure(quick: bool) -> Iterator[Claim]:
        whole = seconds or (QUICK_SECONDS if quick else 300.0)
        yield from engine_claims(whole / 2)
        yield from http_claims(whole / 2)

    measure.__module__ = __name__
    return measure


def engine_claims(seconds: float) -> Iterator[Claim]:
    soak = Soak(seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(soak.run())
    counts = soak.counts
    answered, refused = counts["answered"], total(counts, "refused: ")
    how = f"{seconds:.0f} s, {CLIENTS} clients, 3 replicas; {listed(soak.events)}; {listed(counts)}"
    yield claim(
        "engine and replicas under fire: requests without exactly one right answer or refusal",
        counts["requests"] - answered - refused
        + counts["batches told twice"] + counts["batches"] - counts["batches told"]
        + counts["faults in callbacks"] + counts["answered wrongly"],
        "requests", how, goal="<= 0",
    )  # fmt: skip
    yield claim(
        "engine and replicas under fire: requests that were answered",
        100 * answered / counts["requests"], "%",
        "the others were refused: they shared two deaths of their process, as said above",
        goal=">= 99",
    )  # fmt: skip
    yield claim(
        "engine and replicas under fire: growth of memory", soak.growth(), "MB",
        "private memory of the process that serves, last quarter less the second one; open files "
        f"at most {max(soak.files)} and {soak.files[-1]} at the end",
        goal="<= 8",
    )  # fmt: skip


def http_claims(seconds: float) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        soak = HttpSoak(seconds, small_bundle(Path(folder) / "spam"))
        soak.run()
    counts = soak.counts
    good = counts["answered"] + counts["cut off by the server's death"] + total(counts, "refused: ")
    yield claim(
        "server under fire: requests without exactly one right answer or a clear error",
        counts["requests"] - good + counts["orphans"], "requests",
        f"{seconds:.0f} s of HTTP from {HTTP_CLIENTS} clients, 2 replicas; {listed(counts)}",
        goal="<= 0",
    )  # fmt: skip


def small_bundle(folder: Path) -> Path:
    from gristmill.data.features import HashedNgrams
    from gristmill.train.bundle import bundle_model
    from gristmill.train.text.text_models import BagOfNgrams

    module = BagOfNgrams(2**12, 2)
    featurizer = HashedNgrams(buckets=2**12)
    bundle_model(module, folder, name="spam", classes=["ham", "spam"], featurizer=featurizer)
    return folder


def total(counts: Counter[str], beginning: str) -> int:
    return sum(count for what, count in counts.items() if what.startswith(beginning))


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items() if count)


def private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = dict(line.split(":") for line in lines)
    return sum(int(found[f"Private_{kind}"].split()[0]) for kind in ("Dirty", "Clean")) * 1024


def stat_of(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return ["Z", "0"]


def alive(pid: int) -> bool:
    return stat_of(pid)[0] not in "ZX"


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1])


def group_of(pid: int) -> list[int]:
    """Return all processes that descend from one."""
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    parents = {each: parent_of(each) for each in pids}
    found, before = {pid}, set()
    while found != before:
        before = set(found)
        found |= {each for each, parent in parents.items() if parent in found}
    return [each for each in found - {pid} if alive(each)]


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.01)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seconds", type=float)
    options, rest = parser.parse_known_args()
    sys.exit(main(measure_for(options.seconds), rest))
