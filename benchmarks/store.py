"""Several processes write to the store of one project at once: what is lost, how fast it goes."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

from claims import RECORDED, Claim, claim, main

if TYPE_CHECKING:
    from gristmill.store.runs import Execution

PROCESSES = 8
CORE = f"peer plain SQLAlchemy Core, one process, one transaction a step {RECORDED}"
DEFAULTS = f"peer SQLite as it comes, time-out 0: 3,532 of 4,000 failed as locked {RECORDED}"


def measure(quick: bool) -> Iterator[Claim]:
    writes = 50 if quick else 500
    lost, wall = write_at_once(PROCESSES, writes)
    total = PROCESSES * writes
    share = 100 * lost / total
    how = f"{PROCESSES} processes x {writes} transactions, an execution with two links each"
    yield claim("writes lost", share, "%", f"{how}; {DEFAULTS}", goal="<= 0", peer=88.3)
    yield claim(
        "writes of eight processes", total / wall, "transactions/s", f"{how}; wall; {CORE}",
        peer=1954, more_is_better=True,
    )  # fmt: skip
    _, wall = write_at_once(1, writes)
    how = f"{writes} transactions, an execution with two links each"
    yield claim(
        "writes of one process", writes / wall, "transactions/s", f"{how}; wall; {CORE}",
        peer=1954, more_is_better=True,
    )  # fmt: skip


def write_at_once(processes: int, writes: int) -> tuple[int, float]:
    """Let processes write as fast as they can; return how many writes are missing, and seconds."""
    from gristmill.store import Project, RunLog

    with tempfile.TemporaryDirectory() as folder, Project(Path(folder)) as project:
        log = RunLog(project)
        job = _Job(Path(folder), log.start("benchmark", {}), log.keep([1, 2, 3]).digest, writes)
        seconds = _run_writers(job, processes)
        kept = {each.key for each in log.of_run(job.run) if each.inputs and each.output}
    wanted = {_key(writer, number) for writer in range(processes) for number in range(writes)}
    return len(wanted - kept), seconds


@dataclass(frozen=True)
class _Job:
    """What every writer has to know."""

    folder: Path
    run: str
    artifact: str
    writes: int


def _run_writers(job: _Job, processes: int) -> float:
    """Start writers that wait for one another; the time runs from then until the last is done."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    workers = [
        context.Process(target=_write, args=(job, writer, ready)) for writer in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait(timeout=120)
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def _write(job: _Job, writer: int, ready: Barrier) -> None:
    """Write all of one writer's; the first failure ends it, and what it did not write is lost."""
    from gristmill.store import Project, RunLog

    with Project(job.folder) as project:
        log = RunLog(project)
        log.runs()
        ready.wait()
        for number in range(job.writes):
            log.record(_execution(job, _key(writer, number)), "benchmark")


def _execution(job: _Job, key: str) -> Execution:
    from gristmill.store.runs import Execution

    return Execution(
        id=0, run=job.run, step="step", key=key, status="done", why="new", reach={},
        started=time.time(), seconds=0.0, inputs={"table": job.artifact}, output=job.artifact,
    )  # fmt: skip


def _key(writer: int, number: int) -> str:
    return f"{writer}-{number}"


if __name__ == "__main__":
    sys.exit(main(measure))
