"""Several processes write to the store of one project at once: what is lost, how fast it goes."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

from claims import RECORDED, Claim, claim, main

if TYPE_CHECKING:
    from gristmill.store import RunLog

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
        run = RunLog(project).start("benchmark", {})
        seconds = _run_writers(Path(folder), run, processes, writes)
        kept = {each.key for each in RunLog(project).of_run(run) if len(each.inputs) == 1}
    wanted = {_key(writer, number) for writer in range(processes) for number in range(writes)}
    return len(wanted - kept), seconds


def _run_writers(folder: Path, run: str, processes: int, writes: int) -> float:
    """Start writers that wait for one another; the time runs from then until the last is done."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    workers = [
        context.Process(target=_write, args=(folder, run, writer, writes, ready))
        for writer in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait(timeout=120)
    began = time.perf_counter()
    ready.wait(timeout=600)
    seconds = time.perf_counter() - began
    for worker in workers:
        worker.join()
    return seconds


def _write(folder: Path, run: str, writer: int, writes: int, ready: Barrier) -> None:
    from gristmill.store import Project, RunLog

    with Project(folder) as project:
        log = RunLog(project)
        log.runs()
        ready.wait()
        for number in range(writes):
            _write_one(log, run, writer, number)
        ready.wait()


def _write_one(log: RunLog, run: str, writer: int, number: int) -> None:
    from gristmill.core.errors import StoreError
    from gristmill.store.runs import Execution

    digest = f"{writer:032x}{number:032x}"
    execution = Execution(
        id=0, run=run, step="step", key=_key(writer, number), status="done", why="new",
        reach={}, started=time.time(), seconds=0.0, inputs={"table": digest}, output=digest,
    )  # fmt: skip
    try:
        log.record(execution, "benchmark")
    except StoreError as error:
        print(f"writer {writer}, write {number}: {error}", file=sys.stderr)


def _key(writer: int, number: int) -> str:
    return f"{writer}-{number}"


if __name__ == "__main__":
    sys.exit(main(measure))
