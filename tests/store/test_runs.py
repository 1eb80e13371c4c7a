"""Runs and executions are recorded, found again, and survive many writers at once."""

from __future__ import annotations

import math
import multiprocessing
import time
from pathlib import Path

import pytest

from gristmill.core.errors import StoreError, UsageError
from gristmill.store.project import Project
from gristmill.store.runs import Artifact, Execution, RunLog

WRITERS, WRITES = 8, 40


def execution(run: str, step: str = "train", key: str = "k1", **changes: object) -> Execution:
    values = {
        "id": 0,
        "run": run,
        "step": step,
        "key": key,
        "status": "done",
        "why": "first run",
        "reach": {"parts": {"a.f": "1"}},
        "started": time.time(),
        "seconds": 0.5,
        **changes,
    }
    return Execution(**values)  # type: ignore[arg-type]


def test_an_execution_comes_back_as_it_was_written(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {"python": "3"})
    one, two = log.keep({"x": 1}).digest, log.keep([1, 2]).digest
    written = execution(run, inputs={"data": one}, output=two)
    number = log.record(written, "p.py")
    (found,) = log.of_run(run)
    assert found.id == number
    assert (found.inputs, found.output, found.reach) == ({"data": one}, two, written.reach)


def test_a_result_is_found_by_its_key_only_while_it_is_stored(project: Project) -> None:

    log = RunLog(project)
    run = log.start("p.py", {})
    digest = log.keep([1]).digest
    log.record(execution(run, output=digest), "p.py")
    found = log.find_result("k1")
    assert found is not None
    assert found.output == digest
    assert log.find_result("k2") is None
    project.artifacts.get(digest).unlink()
    assert log.find_result("k1") is None


def test_a_failed_execution_is_no_result(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    log.record(execution(run, status="failed"), "p.py")
    assert log.find_result("k1") is None
    assert log.last("p.py", "train") is None


def test_the_last_execution_is_the_newest_with_a_result(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    digest = log.keep([1]).digest
    for key in ("k1", "k2"):
        log.record(execution(run, key=key, output=digest), "p.py")
    log.record(execution(run, key="k3", status="failed"), "p.py")
    last = log.last("p.py", "train")
    assert last is not None
    assert last.key == "k2"
    assert log.last("other.py", "train") is None


def test_runs_are_listed_newest_first_and_found_by_prefix(project: Project) -> None:
    log = RunLog(project)
    first, second = log.start("p.py", {}), log.start("p.py", {})
    log.finish(first, "done")
    assert [record.id for record in log.runs()] == [second, first]
    assert log.run("last").id == second
    assert log.run(first).status == "done"
    with pytest.raises(UsageError, match="there is no run 'x9'"):
        log.run("x9")


def test_the_same_value_is_one_artifact(project: Project) -> None:
    log = RunLog(project)
    assert log.keep([1, 2]) == log.keep([1, 2])
    assert log.load(log.keep([1, 2]).digest) == [1, 2]


def test_an_artifact_is_found_by_its_first_digits(project: Project) -> None:
    log = RunLog(project)
    digest = log.keep([1, 2]).digest
    assert log.artifact(digest[:8]).digest == digest
    log.keep("other")
    with pytest.raises(UsageError, match="several artifacts begin with ''"):
        log.artifact("")
    with pytest.raises(UsageError, match="no artifact begins with 'zz'"):
        log.artifact("zz")
    with pytest.raises(UsageError, match="no artifact begins with '%'"):
        log.artifact("%")


def _write_many(root: str, worker: int) -> None:
    with Project(Path(root)) as project:
        log = RunLog(project)
        run = log.start(f"w{worker}.py", {})
        for number in range(WRITES):
            digest = log.keep([worker, number % 5]).digest
            log.record(execution(run, key=f"{worker}-{number}", output=digest), f"w{worker}.py")


def test_eight_processes_writing_at_once_lose_nothing(project: Project) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_write_many, args=(str(project.root), number))
        for number in range(WRITERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * WRITERS
    log = RunLog(project)
    assert len(log.runs(limit=100)) == WRITERS
    for number in range(WRITERS):
        last = log.last(f"w{number}.py", "train")
        assert last is not None
        keys = [found.key for found in log.of_run(last.run)]
        assert keys == [f"{number}-{count}" for count in range(WRITES)]


def test_a_result_that_was_changed_is_not_read(project: Project) -> None:
    log = RunLog(project)
    digest = log.keep([1, 2, 3]).digest
    file = project.artifacts.get(digest)
    file.write_text("[1, 2, 4]")
    with pytest.raises(
        StoreError, match=r"is damaged: file 'value\.json' is not what was stored"
    ) as e:
        log.load(digest)
    assert e.value.where == str(file)
    assert e.value.fix == "delete that; the step that made it will run again"


def test_what_an_object_says_of_itself_may_be_more_than_json(project: Project) -> None:
    log = RunLog(project)
    figures = {"inf": math.inf, "huge": 10**400}
    log.note(Artifact("0" * 32, "odd", "json", 1, None, {"nan": math.nan, **figures}))
    summary = log.artifact("0" * 32).summary
    assert math.isnan(summary.pop("nan"))
    assert summary == figures
