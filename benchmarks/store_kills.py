"""A pipeline that registers and promotes is killed again and again: what it leaves behind.

Each round runs the pipeline with another number in a process of its own, kills that at a random
moment (SIGKILL), looks at the store, and runs the pipeline again. A second project goes through the
same rounds undisturbed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from claims import Claim, claim, main

if TYPE_CHECKING:
    from gristmill.store import Project

ROUNDS = 200
MODEL = "doubler"
PIPELINE = '''
import numpy as np

from gristmill import step
from gristmill.store import Registry, current_project
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Node, Ref
from gristmill.store.runs import RunLog
from gristmill.pipeline import workdir


@step
def numbers(number=0):
    return [number, number + 1]


@step
def table(numbers):
    return {"rows": list(range(2000)), "numbers": numbers}


@step
def squares(table):
    return np.arange(2000) ** 2 + table["numbers"][0]


@step
def bundle(numbers) -> Bundle:
    """A model that multiplies by a number."""
    graph = GraphSpec(
        [Input("x", "float32", [None, 1])], ["w"],
        [Node("y", "aten.mul.Tensor", [Ref("x"), Ref("w")])], ["y"],
    )
    field = Field("x", "tensor", dtype="float32", shape=[1])
    answer = Field("y", "tensor", dtype="float32", shape=[1])
    weights = {"w": np.full(1, numbers[1], dtype=np.float32)}
    return write_bundle(
        workdir() / "bundle", name="doubler", signature=Signature([field], [answer]),
        graph=graph, weights=weights,
    )


@step
def registered(bundle, squares):
    project = current_project()
    artifact = RunLog(project).keep(bundle).digest
    return Registry(project).register("doubler", artifact).version


@step
def promoted(registered):
    registry = Registry(current_project())
    words = "doubler", registered, "promote", ["every one is"]
    done = registry.standing(*words) or registry.decide(*words, author="gate")
    return [done.version, done.replaced]
'''


def measure(quick: bool) -> Iterator[Claim]:
    rounds = 8 if quick else ROUNDS
    found = _Findings()
    draws = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        calm, shaken = (_project(Path(folder) / name) for name in ("calm", "shaken"))
        for number in range(rounds):
            began = time.perf_counter()
            if _in_another(lambda number=number: _run(calm, number)) != 0:
                raise RuntimeError("the pipeline fails without any kill")
            seconds = time.perf_counter() - began
            moment = draws.uniform(0, 1.1 * seconds)
            found.kills += _in_another(lambda number=number: _run(shaken, number), moment) < 0
            found.faults += faults(shaken) != 0
            found.failures += _in_another(lambda number=number: _run(shaken, number)) != 0
            found.differences += state(shaken) != state(calm)
    how = f"{rounds} runs of six steps, each killed (SIGKILL) at a random moment and run again"
    yield claim("runs that a kill met", found.kills, "runs", f"{how}; the others had ended")
    yield claim("stores inconsistent after a kill", found.faults, "runs", how, goal="<= 0")
    yield claim("runs that failed after a kill", found.failures, "runs", how, goal="<= 0")
    yield claim(
        "states unlike that without kills", found.differences, "runs",
        f"{how}; results, versions, decisions and what each replaced", goal="<= 0",
    )  # fmt: skip


class _Findings:
    """What was counted."""

    def __init__(self) -> None:
        self.kills = self.faults = self.failures = self.differences = 0


def faults(folder: Path) -> int:
    """Return how many things in a project's store do not hold together."""
    from gristmill.core.errors import GristmillError
    from gristmill.store import Project, Registry, RunLog
    from gristmill.store.artifacts import check_content
    from gristmill.store.tables import artifacts, executions

    def is_broken(project: Project, digest: str) -> bool:
        try:
            check_content(project.artifacts.get(digest), digest)
        except GristmillError:
            return True
        return False

    with Project(folder) as project:
        log, registry = RunLog(project), Registry(project)
        with project.database.read() as connection:
            found = [
                *connection.exec_driver_sql("PRAGMA integrity_check").scalars(),
                *connection.exec_driver_sql("PRAGMA foreign_key_check").all(),
            ]
        lost = found != ["ok"]
        wanted = {one.digest for one in log.artifacts(artifacts.c.digest != "")}
        stored = (one.digest for one in project.artifacts.stored())
        # Content whose index a kill prevented does not exist for a reader, and is put anew.
        wanted |= {digest for digest in stored if project.artifacts.exists(digest)}
        wanted |= {version.artifact for version in registry.versions(MODEL)}
        done = log.select(executions.c.status == "done")
        lost += sum(one.output not in wanted for one in done)
        lost += sum(is_broken(project, digest) for digest in wanted)
        versions = {version.version for version in registry.versions(MODEL)}
        lost += sum(entry.version not in versions for entry in registry.history(MODEL))
        lost += len(registry.seals(MODEL).broken)
    return lost


def state(folder: Path) -> object:
    """Return what a project holds: the results by key, the versions and the decisions."""
    from gristmill.store import Project, Registry, RunLog
    from gristmill.store.tables import executions

    with Project(folder) as project:
        registry = Registry(project)
        done = RunLog(project).select(executions.c.status == "done")
        results = {(one.step, one.key, one.output) for one in done}
        versions = [version.artifact for version in registry.versions(MODEL)]
        told = [(entry.version, entry.verdict, entry.replaced) for entry in registry.history(MODEL)]
        live = registry.live(MODEL)
    return results, versions, told, live and live.version


def _project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pipeline.py").write_text(PIPELINE)
    return folder


def _run(folder: Path, number: int) -> int:
    """Run the pipeline in this process; return how many steps did not end well."""
    from gristmill.pipeline import load_pipeline, run
    from gristmill.store import Project

    with Project(folder) as project:
        pipeline = load_pipeline(folder / "pipeline.py")
        result = run(pipeline, project, settings={"numbers": {"number": number}})
        return len(pipeline.steps) - result.count("done") - result.count("cached")


def _in_another(work: Callable[[], int], kill_after: float | None = None) -> int:
    """Do work in a process of its own; return its exit code, below 0 for the signal that ended it.

    The process is forked: it has everything loaded, so that what is killed is the work.
    """
    import numpy

    import gristmill.pipeline.running
    import gristmill.store.bundle

    assert numpy
    assert gristmill.pipeline.running
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(measure))
