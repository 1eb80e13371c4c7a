"""What runs, what is kept, and why: the cache must never be stale and never forget."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.errors import GateError, StepError, StoreError, UsageError
from gristmill.pipeline.running import RunResult
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

PIPELINE = """
from gristmill import step
import helpers
from helpers import scale

@step
def load():
    return [" A ", "b"]

@step
def clean(load):
    return [helpers.clean_text(text) for text in load]

@step
def train(clean, rate=0.5):
    return {"size": scale(len(clean)), "rate": rate}

@step
def report(train, clean):
    return [train, clean]
"""
HELPERS = """
FACTOR = 2

def clean_text(text):
    return text.strip().lower()

def scale(number):
    return number * FACTOR

def unused():
    return 1
"""

Shown = Callable[[RunResult], dict[str, str]]


@pytest.fixture
def project(user: Any) -> Any:
    return user.write(pipeline=PIPELINE, helpers=HELPERS)


def test_a_second_run_does_nothing_and_gives_the_same(project: Any, statuses: Shown) -> None:
    first = project.run()
    second = project.run()
    assert set(statuses(first).values()) == {"done"}
    assert set(statuses(second).values()) == {"cached"}
    assert (
        second.load("report")
        == first.load("report")
        == [
            {"size": 4, "rate": 0.5},
            ["a", "b"],
        ]
    )


@pytest.mark.parametrize(
    ("old", "new", "ran"),
    [
        (
            "FACTOR = 2",
            "FACTOR = 3",
            {"train": "helpers.FACTOR changed", "report": "input train changed"},
        ),
        (
            "text.strip().lower()",
            "text.strip().upper()",
            {
                "clean": "helpers.clean_text changed",
                "train": "input clean changed",
                "report": "input train changed, input clean changed",
            },
        ),
        # The code changed but the result did not: what depends on it is not run again.
        ("text.strip().lower()", "text.lower().strip()", {"clean": "helpers.clean_text changed"}),
        ("return 1", "return 2", {}),
    ],
)
def test_an_edit_of_a_helper_runs_exactly_what_it_affects_and_says_why(
    project: Any, reasons: Shown, old: str, new: str, ran: dict[str, str]
) -> None:
    project.run()
    result = project.edit("helpers", old, new).run()
    if "input train changed, input clean changed" in ran.values():
        # `train` gives the same size for upper case, so only `clean` reaches the report.
        ran = dict(ran, report="input clean changed")
    assert reasons(result) == ran


def test_undoing_an_edit_finds_the_old_result(project: Any, statuses: Shown) -> None:
    project.run()
    project.edit("helpers", "FACTOR = 2", "FACTOR = 3").run()
    result = project.edit("helpers", "FACTOR = 3", "FACTOR = 2").run()
    assert set(statuses(result).values()) == {"cached"}
    assert result.load("train") == {"size": 4, "rate": 0.5}


def test_a_setting_runs_its_step_again_and_the_reason_shows_both_values(
    project: Any, reasons: Shown
) -> None:
    project.run()
    result = project.run(settings={"train": {"rate": 0.9}})
    assert reasons(result) == {
        "train": "setting rate: 0.5 -> 0.9",
        "report": "input train changed",
    }


def test_a_file_named_by_a_setting_counts_by_its_content(user: Any, reasons: Shown) -> None:
    data = user.root / "data.txt"
    data.write_text("one")
    user.write(
        pipeline="from pathlib import Path\nfrom gristmill import step\n"
        "HERE = Path(__file__).parent\n"
        "@step\ndef load(path=HERE / 'data.txt'):\n    return path.read_text()\n"
    )
    assert user.value("load") == "one"
    assert reasons(user.run()) == {}
    data.write_text("two")
    assert reasons(user.run()) == {"load": "setting path: what is at data.txt changed"}
    assert user.value("load") == "two"


def test_a_copied_project_has_nothing_to_do(
    user: Any, tmp_path: Path, statuses: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user.root / "data.txt").write_text("one")
    user.write(
        pipeline="from pathlib import Path\nfrom gristmill import step\n"
        "HERE = Path(__file__).parent\n"
        "@step\ndef load(path=HERE / 'data.txt'):\n    return path.read_text()\n"
        "@step\ndef other():\n    return (HERE / 'data.txt').name\n"
    )
    user.run()
    copy = tmp_path / "copy"
    shutil.copytree(user.root, copy)
    shutil.rmtree(user.root)
    monkeypatch.setattr(user, "root", copy)
    sys.modules.pop("pipeline", None)
    assert set(statuses(user.run()).values()) == {"cached"}


def test_only_the_targets_and_what_they_need_run(project: Any, statuses: Shown) -> None:
    assert statuses(project.run(targets=["clean"])) == {"load": "done", "clean": "done"}


def test_a_forced_step_runs_though_up_to_date(project: Any, reasons: Shown) -> None:
    project.run()
    assert reasons(project.run(force=["train"])) == {"train": "forced"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["trian"]}, "there is no step 'trian'"),
        ({"force": ["trian"]}, "there is no step 'trian'"),
        ({"settings": {"trian": {}}}, "there is no step 'trian'"),
        ({"settings": {"train": {"rat": 1}}}, "step 'train' has no setting 'rat'"),
    ],
)
def test_a_name_that_does_not_exist_is_said_before_anything_runs(
    project: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        project.run(**options)


def test_a_lost_artifact_is_made_again(project: Any, reasons: Shown) -> None:
    first = project.run()
    with Project(project.root) as opened:
        opened.artifacts.remove([first.executions["clean"].output])
    assert reasons(project.run()) == {"clean": "its result is no longer in the store"}


def test_a_failed_step_blocks_what_needs_it_and_nothing_else(user: Any, statuses: Shown) -> None:
    user.write(
        pipeline="from gristmill import step\n"
        "@step\ndef bad():\n    return 1 / 0\n"
        "@step\ndef after(bad):\n    return 1\n"
        "@step\ndef further(after):\n    return 1\n"
        "@step\ndef other():\n    return 2\n"
    )
    result = user.run()
    assert statuses(result) == {
        "bad": "failed",
        "after": "blocked",
        "further": "blocked",
        "other": "done",
    }
    assert isinstance(result.error, StepError)
    assert str(result.error) == ("step 'bad' (pipeline.py:4): ZeroDivisionError: division by zero")
    assert result.executions["further"].why == "bad failed"
    with pytest.raises(UsageError, match="step 'after' has no result"):
        result.load("after")


def test_after_a_failure_is_mended_only_what_is_left_runs(user: Any, statuses: Shown) -> None:
    user.write(
        pipeline="from gristmill import step\n@step\ndef one():\n    return 1\n"
        "@step\ndef two(one):\n    return one / 0\n"
    )
    user.run()
    result = user.edit("pipeline", "one / 0", "one / 1").run()
    assert statuses(result) == {"one": "cached", "two": "done"}


def test_a_result_that_cannot_be_stored_fails_with_advice(user: Any) -> None:
    user.write(pipeline="from gristmill import step\n@step\ndef one():\n    return object()\n")
    result = user.run()
    assert isinstance(result.error, StoreError)
    assert "cannot store a value of type object" in str(result.error)
    assert "step 'one'" in str(result.error)


def test_a_shut_gate_blocks_what_depends_on_it_and_says_why(user: Any, statuses: Shown) -> None:
    user.write(
        pipeline="from gristmill import step\nfrom gristmill.pipeline import Verdict\n"
        "@step\ndef gate():\n    return Verdict('hold', ['not better'], 'm')\n"
        "@step\ndef deploy(gate):\n    return 1\n"
    )
    for _ in range(2):  # from the cache a gate is as shut as when it ran
        result = user.run()
        assert statuses(result)["deploy"] == "blocked"
        assert isinstance(result.error, GateError)
        assert str(result.error) == "step 'deploy': gate said hold; not better"
    opened = user.edit("pipeline", "'hold'", "'promote'").run()
    assert statuses(opened) == {"gate": "done", "deploy": "done"}


def test_a_step_that_is_not_gated_puts_on_record_what_a_shut_gate_said(
    user: Any, statuses: Shown
) -> None:
    user.write(
        pipeline="from gristmill import step\nfrom gristmill.pipeline import Verdict\n"
        "@step\ndef gate():\n    return Verdict('hold', ['not better'], 'm')\n"
        "@step(gated=False)\ndef noted(gate):\n    return gate.verdict\n"
        "@step\ndef deploy(gate, noted):\n    return 1\n"
    )
    for ran in ("done", "cached"):
        result = user.run()
        assert statuses(result) == {"gate": ran, "noted": ran, "deploy": "blocked"}
        assert result.load("noted") == "hold"
        assert isinstance(result.error, GateError)
        assert str(result.error) == "step 'noted': gate said hold; not better"
    only = user.run(targets=["noted"])
    assert isinstance(only.error, GateError)


def test_a_step_sees_its_inputs_as_stored_so_changing_them_changes_nothing(user: Any) -> None:
    user.write(
        pipeline="from gristmill import step\n@step\ndef one():\n    return [1]\n"
        "@step\ndef two(one):\n    one.append(2)\n    return one\n"
        "@step\ndef three(one, two):\n    return [one, two]\n"
    )
    assert user.value("three") == [[1], [1, 2]]


def test_work_in_progress_is_found_again_after_a_failure(user: Any) -> None:
    user.write(
        pipeline="from gristmill import step\nfrom gristmill.pipeline import workdir\n"
        "@step\ndef slow():\n    note = workdir() / 'note'\n"
        "    if note.exists():\n        return 'went on'\n"
        "    note.write_text('x')\n    raise RuntimeError('power cut')\n"
    )
    assert user.run().error is not None
    assert user.value("slow") == "went on"
    assert list((user.root / ".gristmill" / "work").glob("*/note")) == []


SLOW = """
import os, time
from pathlib import Path
from gristmill import step
HERE = Path(__file__).parent

@step
def first():
    (HERE / "first.ran").open("a").write("x")
    return [1, 2, 3]

@step
def slow(first):
    (HERE / "slow.ran").open("a").write("x")
    if not (HERE / "go").exists():
        (HERE / "waiting").touch()
        time.sleep(600)
    return sum(first)
"""


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_where_it_was(user: Any, how: signal.Signals) -> None:
    user.write(pipeline=SLOW)
    process = user.start()
    wait_for(user.root / "waiting")
    process.send_signal(how)
    out, err = process.communicate(timeout=120)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    if how == signal.SIGINT:
        assert "Traceback" not in out + err
    (user.root / "go").touch()
    again = user.start()
    out, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "= first" in out
    assert (user.root / "first.ran").read_text() == "x"
    with Project(user.root) as project:
        result = RunLog(project).last("pipeline.py", "slow")
        assert result is not None
        assert result.output is not None
        assert RunLog(project).load(result.output) == 6


def test_two_runs_at_once_do_each_step_once(user: Any) -> None:
    user.write(pipeline=SLOW)
    one, two = user.start(), user.start()
    wait_for(user.root / "waiting")
    (user.root / "go").touch()
    one.send_signal(signal.SIGKILL)  # whoever holds the step or waits: the other must finish
    one.communicate(timeout=120)
    two.send_signal(signal.SIGINT)
    two.communicate(timeout=120)
    last = [user.start(), user.start()]
    for process in last:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert (user.root / "first.ran").read_text() == "x"


def test_two_projects_in_one_process_do_not_meet(user: Any, tmp_path: Path) -> None:
    user.write(pipeline="from gristmill import step\n@step\ndef one():\n    return 1\n")
    assert user.value("one") == 1
    assert (user.root / ".gristmill" / "store.db").exists()
    assert not (tmp_path / ".gristmill").exists()


def test_a_step_that_leaves_the_program_has_failed(user: Any) -> None:
    user.write(pipeline="from gristmill import step\n\n@step\ndef a():\n    raise SystemExit(0)\n")
    result = user.run()
    assert result.executions["a"].status == "failed"
    assert str(result.error) == "step 'a' (pipeline.py:5): SystemExit: 0"


def test_a_damaged_input_is_named(user: Any) -> None:
    source = (
        "from gristmill import step\n\n@step\ndef a():\n    return [1]\n\n"
        "@step\ndef b(a, more: int = 0):\n    return a\n"
    )
    first = user.write(pipeline=source).run().executions["a"].output
    place = user.root / ".gristmill" / "artifacts" / first[:2] / first
    place.write_text("[2]")
    error = user.run(settings={"b": {"more": 1}}).error
    assert isinstance(error, StoreError)
    assert error.where == "step 'b'"
    assert error.message.startswith(f"its input 'a': {place}: artifact {first[:12]} is damaged")
    place.unlink()
    assert user.value("b") == [1]


def test_nothing_is_collected_under_a_running_pipeline(project: Any) -> None:
    project.write(
        pipeline="from gristmill import step\nfrom gristmill.store import current_project\n"
        "from gristmill.store.collecting import collect\n"
        "@step\ndef greedy():\n    collect(current_project(), keep_runs=0, keep_days=0)\n"
    )
    result = project.run()
    assert "a run is going on in this project" in str(result.error)
