"""Several steps at a time, in processes of their own: the same results, and nothing left behind."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.processes import lives

from gristmill.core.errors import StepError, UsageError
from gristmill.core.progress import LineReporter, reporting
from gristmill.engine import Inline
from gristmill.pipeline.graph import Pipeline
from gristmill.pipeline.running import RunResult, run
from gristmill.pipeline.steps import Step
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

DIAMOND = """
import os, time
from pathlib import Path
from gristmill import step
import helpers

HERE = Path(__file__).parent

def meet(name, other):
    # Both have to be under way at the same time: each waits for the other.
    (HERE / name).touch()
    deadline = time.monotonic() + 120
    while not (HERE / other).exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)

@step
def source(path: Path = Path("none"), names: list = ["a"]) -> dict:
    return {"path": path.name, "names": names}

@step
def left(source) -> list[str]:
    meet("l", "r")
    return [helpers.shout(each) for each in source["names"]]

@step
def right(source) -> str:
    meet("r", "l")
    print("right prints")
    return source["path"]

@step(each=[1, 2, 3])
def squares(number: int, source: dict) -> int:
    return number * number

@step
def joined(left, right, squares):
    return [left, right, squares]
"""
TALKING = """
from gristmill.pipeline import say
from gristmill.store import current_project

@step
def talking(squares):
    say("it says")
    return current_project().root == HERE
"""
HELPERS = "def shout(word):\n    return word.upper()\n"
Shown = Callable[[RunResult], dict[str, str]]


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_steps_at_the_same_time_give_what_they_give_one_by_one(
    user: Any, statuses: Shown, capfd: Any
) -> None:
    user.write(pipeline=DIAMOND + TALKING, helpers=HELPERS)
    options = {"source": {"path": user.root / "helpers.py", "names": ["b", "c"]}}
    with reporting(LineReporter()):
        many = user.run(jobs=2, settings=options)
    assert many.error is None
    assert many.load("joined") == [["B", "C"], "helpers.py", [1, 4, 9]]
    shown = capfd.readouterr()
    assert "right prints" in shown.out
    assert "    talking: it says" in shown.err
    assert many.load("talking") is True
    assert list(many.executions) == ["source", "left", "right", "squares", "joined", "talking"]
    # One by one they find all of it: the keys and the results are the same.
    one = user.run(settings=options)
    assert set(statuses(one).values()) == {"cached"}
    assert {name: each.output for name, each in one.executions.items()} == {
        name: each.output for name, each in many.executions.items()
    }
    assert many.executions["squares"].reach["elements"] == {"all": 3, "ran": 3, "failed": {}}
    records = {each.step: each for each in many.log.of_run(many.run)}
    assert records["joined"].inputs == {
        name: records[name].output for name in ("left", "right", "squares")
    }


FAILING = """
import os, signal
from gristmill import step
from gristmill.core.errors import DataError
from gristmill.pipeline import Verdict

@step
def bad():
    raise DataError("half a file", where="data.csv", fix="mend it")

@step
def worse():
    1 / 0

@step
def dying():
    os.kill(os.getpid(), signal.SIGKILL)

@step
def gate():
    return Verdict("hold", ["not better"], "m")

@step
def after(bad): return 1

@step
def deploy(gate): return 1

@step
def fine(): return 2

@step
def unstorable(): return object()
"""


def test_a_failure_blocks_what_depends_on_it_alone_and_is_told_as_ever(
    user: Any, statuses: Shown
) -> None:
    user.write(pipeline=FAILING)
    result = user.run(jobs=2)
    assert statuses(result) == {
        "bad": "failed", "worse": "failed", "dying": "failed", "gate": "done", "after": "blocked",
        "deploy": "blocked", "fine": "done", "unstorable": "failed",
    }  # fmt: skip
    said = {name: each.message for name, each in result.executions.items() if each.message}
    assert said["bad"] == "step 'bad' (pipeline.py:9): data.csv: half a file\n  fix: mend it"
    assert said["worse"].startswith("step 'worse' (pipeline.py:13): ZeroDivisionError: division by")
    assert said["dying"].startswith("step 'dying': its process was killed (SIGKILL)")
    assert "cannot store a value of type object" in said["unstorable"]
    assert result.executions["deploy"].why == "gate said hold"


LIMITED = """
import subprocess, time
from pathlib import Path
from gristmill import step
from gristmill.pipeline import workdir
HERE = Path(__file__).parent

@step(timeout="1h")
def quick(more: int = 1):
    return more

@step(timeout=0.3)
def slow():
    child = subprocess.Popen(["sleep", "600"])
    (HERE / "child").write_text(str(child.pid))
    (workdir() / "half").touch()
    time.sleep(600)

@step
def here(quick): return quick
"""


def test_a_time_limit_ends_the_work_and_all_that_it_started(
    user: Any, statuses: Shown, monkeypatch: Any
) -> None:
    def clock() -> float:
        """Stand still until the step has done what it is to do within its limit."""
        return time.monotonic() if list(user.root.glob(".gristmill/work/*/half")) else 0.0

    its_time = SimpleNamespace(**vars(time) | {"monotonic": clock})
    monkeypatch.setattr("gristmill.pipeline.progression.time", its_time)
    result = user.write(pipeline=LIMITED).run()
    assert statuses(result) == {"quick": "done", "slow": "failed", "here": "done"}
    assert isinstance(result.error, StepError)
    assert str(result.error) == (
        "step 'slow': took longer than its time limit, 300 ms, and was ended\n"
        "  fix: raise `timeout` of @step, or have it do less at a time; what it left in its "
        "workdir() is there when it runs again"
    )
    child = int((user.root / "child").read_text())
    wait_until(lambda: not lives(child), "a process that the step started lives on")
    assert len(list((user.root / ".gristmill" / "work").glob("*/half"))) == 1


def test_what_cannot_be_in_a_process_of_its_own_is_said_first(user: Any) -> None:
    user.write(pipeline=LIMITED)
    with Project(user.root) as project:
        with pytest.raises(UsageError, match="this pipeline has none"):
            run(Pipeline([Step(lambda: 1, "one", timeout=1)]), project)
        with pytest.raises(UsageError, match="cannot use an engine that is open here"):
            run(user.load(), project, engine=Inline())
        with pytest.raises(UsageError, match="the setting 'more' cannot be sent"):
            run(user.load(), project, settings={"quick": {"more": 1j}})


def test_code_that_changed_since_the_run_began_is_not_run_under_its_old_name(user: Any) -> None:
    user.write(pipeline=DIAMOND, helpers=HELPERS)
    with Project(user.root) as project:
        pipeline = user.load()
        user.edit("pipeline", "number * number", "number + number")
        result = run(pipeline, project, jobs=2, targets=["squares"])
        assert result.executions["squares"].message == (
            "step 'squares': it is not what it was when the run began: pipeline.squares changed\n"
            "  fix: run again: finished steps are kept"
        )
        assert result.load("source") == {"path": "none", "names": ["a"]}
    assert user.value("squares", targets=["squares"]) == [2, 4, 6]


WAITING = """
import os, time
from pathlib import Path
from gristmill import step
HERE = Path(__file__).parent

def work(name, seconds=600):
    with (HERE / f"{name}.ran").open("a") as file:
        file.write("x")
    (HERE / f"{name}.pid").write_text(str(os.getpid()))
    if not (HERE / "go").exists():
        time.sleep(seconds)
    return name

@step
def first(): return 1

@step
def one(first): return work("one")

@step
def two(first): return work("two")

@step
def both(one, two): return one + two
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_process_and_goes_on_where_it_was(
    user: Any, how: signal.Signals
) -> None:
    user.write(pipeline=WAITING)
    process = user.start("--jobs", "2")
    files = [user.root / "one.pid", user.root / "two.pid"]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), "not begun")
    pids = [int(file.read_text()) for file in files]
    assert len({*pids, process.pid}) == 3
    process.send_signal(how)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in out + err
    wait_until(lambda: not any(map(lives, pids)), "a step lives on")
    if how == signal.SIGINT:
        assert process.returncode == 130
        with Project(user.root) as project:
            log = RunLog(project)
            ended = {each.step: each.status for each in log.of_run(log.run("last").id)}
        assert ended == {"first": "done", "one": "stopped", "two": "stopped"}
    (user.root / "go").touch()
    again = user.run()
    assert again.executions["first"].status == "cached"
    assert again.load("both") == "onetwo"


def test_runs_at_once_do_each_step_once_whatever_their_jobs(user: Any) -> None:
    user.write(pipeline=WAITING.replace("seconds=600", "seconds=0.3")).run(targets=["first"])
    runs = [user.start(*options) for options in (("-j2",), ("--from", "one", "--from", "two"))]
    outs = [process.communicate(timeout=120) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], outs
    assert [(user.root / f"{name}.ran").read_text() for name in ("one", "two")] == ["x", "x"]
    done = sum(len(re.findall(r"^  \+ ", out, re.MULTILINE)) for out, _ in outs)
    assert done == 3
    other = user.start("--only", "both", "--force", "both")
    assert user.run(only=["both"], force=["both"]).load("both") == "onetwo"
    assert other.wait(timeout=120) == 0


def test_what_is_up_to_date_starts_no_process(user: Any, monkeypatch: Any) -> None:
    user.write(pipeline=WAITING)
    (user.root / "go").touch()
    user.run()
    monkeypatch.setattr("gristmill.pipeline.step_process.StepProcess", None)
    assert {each.status for each in user.run(jobs=4).executions.values()} == {"cached"}


def test_jobs_may_be_in_the_settings_of_the_project(user: Any) -> None:
    user.write(pipeline=WAITING)
    (user.root / "gristmill.toml").write_text("jobs = 0\n")
    with pytest.raises(UsageError, match="expected at least 1 job, found 0"):
        user.run()
