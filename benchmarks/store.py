"""The store of one project: eight processes write at once; long lineage; many artifacts."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

from claims import RECORDED, Claim, claim, main

if TYPE_CHECKING:
    from gristmill.store import Project
    from gristmill.store.runs import Execution

PROCESSES = 8
_DEEP = 1000
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
    yield from lineage_claims(5 if quick else 25)
    yield from many_claims(2_000 if quick else 100_000)


def lineage_claims(times: int) -> Iterator[Claim]:
    """Where the last of 1,000 artifacts, each made from the one before, came from."""
    from gristmill.store import Project, RunLog
    from gristmill.store.lineage import ancestors, descendants

    with tempfile.TemporaryDirectory() as folder, Project(Path(folder)) as project:
        digests = fill(project, _DEEP, chained=True)
        log = RunLog(project)
        how = f"a chain of {_DEEP} steps, SQLite; processor time, median of {times}"
        for name, ask, digest in (
            ("lineage upwards", ancestors, digests[-1]),
            ("lineage downwards", descendants, digests[0]),
        ):
            milliseconds = 1e3 * cpu_median(times, lambda ask=ask, digest=digest: ask(log, digest))
            yield claim(name, milliseconds, "ms", how, goal="<= 20")


def many_claims(count: int) -> Iterator[Claim]:
    """List, filter and collect many artifacts."""
    from gristmill.store import Project, RunLog
    from gristmill.store.collecting import find_garbage
    from gristmill.store.inventory import list_artifacts

    with tempfile.TemporaryDirectory() as folder, Project(Path(folder)) as project:
        digests = fill(project, count)
        log = RunLog(project)
        how = f"{count:,} artifacts, the newest 50 shown; processor time, median of 5"
        seconds = cpu_median(5, lambda: list_artifacts(log))
        yield claim("artifacts listed", 1e3 * seconds, "ms", how, goal="<= 100")
        seconds = cpu_median(5, lambda: list_artifacts(log, kind="table", step="s7", since=1.0))
        yield claim("artifacts filtered", 1e3 * seconds, "ms", how, goal="<= 100")
        seconds = cpu_median(5, lambda: list_artifacts(log, skip=count // 2))
        yield claim("artifacts listed from the middle", 1e3 * seconds, "ms", how, goal="<= 100")
        yesterday = time.time() - 86_400
        put_files(project, digests, yesterday)
        how = f"{count:,} artifacts, a file and its index each; wall"
        began = time.perf_counter()
        found = find_garbage(project, keep_runs=0, keep_days=0)
        yield claim("garbage found", time.perf_counter() - began, "s", how)
        if len(found.artifacts) != count:
            raise RuntimeError(f"expected {count} artifacts to go, found {len(found.artifacts)}")
        yield claim("garbage collected", collected(project), "s", how, goal="<= 10")
        put_folders(project, digests[: count // 5], yesterday)
        how = f"{count // 5:,} artifacts as earlier versions stored them, two folders each; wall"
        yield claim("older garbage collected", collected(project), "s", how)


def collected(project: Project) -> float:
    """Return the seconds in which all that was laid into the store is found and removed."""
    from gristmill.store.collecting import collect

    began = time.perf_counter()
    collect(project, keep_runs=0, keep_days=0)
    taken = time.perf_counter() - began
    if next(project.artifacts.stored(), None) is not None:
        raise RuntimeError("expected nothing to be left")
    return taken


def cpu_median(times: int, work: Callable[[], object]) -> float:
    """Return the median of the processor seconds that work takes."""
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def fill(project: Project, count: int, *, chained: bool = False) -> list[str]:
    """Write down as many results of an old run, each made from the one before if `chained`."""
    from sqlalchemy import insert

    from gristmill.store import RunLog
    from gristmill.store.tables import artifacts, executions, links

    log = RunLog(project)
    run = log.start("benchmark", {})
    log.finish(run, "done")
    digests = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(count)]
    kinds = ("json", "table", "bundle")
    made = [
        {"digest": digest, "kind": kinds[number % 3], "codec": "json", "bytes": 2, "rows": None,
         "summary": "{}", "created": float(number)}
        for number, digest in enumerate(digests)
    ]  # fmt: skip
    done = [
        {"id": number + 1, "run": run, "pipeline": "benchmark", "step": f"s{number % 100}",
         "key": str(number), "status": "done", "why": "", "reach": "{}", "started": 0.0,
         "seconds": 0.0}
        for number in range(count)
    ]  # fmt: skip
    ties = [
        {"execution": number + 1, "role": "output", "name": "result", "artifact": digest}
        for number, digest in enumerate(digests)
    ]
    if chained:
        ties += [
            {"execution": number + 2, "role": "input", "name": "x", "artifact": digest}
            for number, digest in enumerate(digests[:-1])
        ]
    with project.database.write() as connection:
        for rows, table in ((made, artifacts), (done, executions), (ties, links)):
            connection.execute(insert(table), rows)
    return digests


def put_files(project: Project, digests: list[str], when: float) -> None:
    """Lay artifacts where they belong, each one file, without waiting for the disk."""
    for digest in digests:
        place = project.home / "artifacts" / digest[:2] / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        index = place.with_name(f"{digest}.json")
        for path in (place, index):
            path.write_text("{}")
        os.utime(index, (when, when))


def put_folders(project: Project, digests: list[str], when: float) -> None:
    """The same as earlier versions stored them: a folder that holds the index and a folder."""
    for digest in digests:
        place = project.home / "artifacts" / digest[:2] / digest
        (place / "files").mkdir(parents=True)
        (place / "artifact.json").write_text("{}")
        (place / "files" / "value.json").write_text("{}")
        os.utime(place, (when, when))


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
