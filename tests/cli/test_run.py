from __future__ import annotations

import re

import pytest


def marks(out: str) -> dict[str, str]:
    """Return step -> mark of a run's output."""
    return {name: mark for mark, name in re.findall(r"^  ([+=x-]) (\w+)", out, re.MULTILINE)}


def test_the_first_run_runs_everything_and_says_so(project):
    answer = project("run")
    assert answer.code == 0
    assert marks(answer.out) == {"numbers": "+", "scaled": "+", "total": "+"}
    assert "  > numbers  first run\n" in answer.out
    assert "\n3 steps: 3 ran in " in answer.out
    assert answer.err == ""


def test_the_second_run_runs_nothing(project):
    project("run")
    answer = project("run")
    assert marks(answer.out) == {"numbers": "=", "scaled": "=", "total": "="}
    assert ">" not in answer.out
    assert "3 steps: 3 cached in " in answer.out


def test_an_edit_runs_what_depends_on_it_and_says_why(project):
    project("run")
    project.edit("helpers.py", "number * factor", "number + factor")
    answer = project("run")
    assert marks(answer.out) == {"numbers": "=", "scaled": "+", "total": "+"}
    assert "  > scaled   helpers.scale changed\n" in answer.out
    assert "  > total    input scaled changed\n" in answer.out


def test_many_reasons_are_shortened_on_the_terminal_and_complete_in_json(project):
    names = [f"CONSTANT_{letter}" for letter in "ABCDE"]
    source = "\n".join(f"{name} = {number}" for number, name in enumerate(names))
    body = (
        f"from gristmill import step\n{source}\n@step\ndef add():\n    return {' + '.join(names)}\n"
    )
    project.write("pipeline.py", body)
    project("run")
    project.write("pipeline.py", body.replace(" = ", " = 1"))
    shown = project("run").out
    assert "> add  pipeline.CONSTANT_A changed, pipeline.CONSTANT_B changed and 3 more\n" in shown
    assert "1 step: 1 ran in " in shown
    project.write("pipeline.py", body.replace(" = ", " = 2"))
    told = project("run", "--json").json
    assert told["steps"][0]["why"] == ", ".join(f"pipeline.{name} changed" for name in names)


def test_settings_targets_and_force(project):
    answer = project("run", "--set", "scaled.factor=5", "--step", "scaled")
    assert marks(answer.out) == {"numbers": "+", "scaled": "+"}
    answer = project("run", "--set", "scaled.factor=5", "--force", "numbers")
    assert marks(answer.out) == {"numbers": "+", "scaled": "=", "total": "+"}
    assert "  > numbers  forced\n" in answer.out
    assert "setting factor: 5 -> 2" in project("run").out


ELEMENTS = """
from gristmill import step

@step
def numbers():
    return [1, 2, 3, 2]

@step(each="numbers")
def halves(number):
    return 2 // (number - 3)
"""


def test_elements_are_counted_on_any_engine(project):
    project.write("pipeline.py", ELEMENTS)
    answer = project("run", "--engine", "local:2")
    assert answer.code == 6
    assert answer.err == (
        "error: step 'halves': 1 of 4 elements failed; element 2: pipeline.py:10: "
        "ZeroDivisionError: integer division or modulo by zero\n"
        "  fix: correct the cause and run again: the other 3 are kept\n"
    )
    project.edit("pipeline.py", "[1, 2, 3, 2]", "[1, 2, 4]")
    assert re.search(r"\+ halves   .*, 1 of 3 elements ran\n", project("run").out)
    project.edit("pipeline.py", "[1, 2, 4]", "[1, 2]")
    told = project("run", "--json").json
    assert told["steps"][1]["elements"] == {"all": 2, "ran": 0, "failed": {}}


def test_an_engine_that_there_is_not(project):
    answer = project("run", "--engine", "sprak")
    assert answer.code == 2
    assert answer.err.startswith("error: unknown engine 'sprak'\n  fix: use 'local', 'local:4'")


def test_json(project):
    told = project("run", "--json").json
    assert set(told) == {"run", "taken", "steps", "error"}
    assert told["error"] is None
    assert [step["step"] for step in told["steps"]] == ["numbers", "scaled", "total"]
    assert {step["status"] for step in told["steps"]} == {"done"}
    assert all(re.fullmatch("[0-9a-f]{32}", step["artifact"]) for step in told["steps"])


def test_a_failed_step_blocks_what_needs_it_and_the_message_names_step_and_line(project):
    project.edit("helpers.py", "return [", "return 1 / 0 or [")
    answer = project("run")
    assert answer.code == 6
    assert marks(answer.out) == {"numbers": "+", "scaled": "x", "total": "-"}
    assert "- total    blocked: scaled failed\n" in answer.out
    assert answer.err == (
        "error: step 'scaled' (helpers.py:3): ZeroDivisionError: division by zero\n"
        "  fix: `gristmill logs` prints all that failed steps said\n"
    )
    assert project("run", "--json").json["error"].startswith("step 'scaled' (helpers.py:3)")


def test_a_gate_that_says_no_has_its_own_exit_code(project):
    project.write(
        "pipeline.py",
        "from gristmill import step\n"
        "from gristmill.pipeline import Verdict\n"
        "@step\ndef gate():\n"
        "    return Verdict(candidate='m', verdict='reject', reasons=['0.1 is below 0.5'])\n"
        "@step\ndef release(gate):\n    return 1\n",
    )
    answer = project("run")
    assert answer.code == 4
    assert "blocked: gate said reject" in answer.out
    assert answer.err == "error: step 'release': gate said reject; 0.1 is below 0.5\n"


def test_what_the_cache_cannot_see_is_listed(project):
    project.edit("helpers.py", "return [", "eval('1')\n    return [")
    answer = project("run")
    assert "not seen by the cache (decided at run time):\n  helpers.py:3: " in answer.out
    assert "not seen" not in project("run").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nix.py"], "nix.py: there is no such pipeline file\n  fix: name a Python file"),
        (["--from", "totl"], "there is no step 'totl'\n  fix: did you mean 'total'?"),
        (
            ["--only", "total"],
            "step 'total' takes the stored result of 'scaled', and there is none",
        ),
        (["--only", "total", "--step", "total"], "`only` names all steps that take part"),
        (["--jobs", "0"], "expected at least 1 job, found 0"),
        (["--set", "nix=1"], "no step has a setting 'nix'\n  fix: settings: factor; of one step"),
        (["--params", "nix.toml"], "--params nix.toml: No such file or directory"),
        (["--step", "totl"], "there is no step 'totl'\n  fix: did you mean 'total'?"),
        (["--set", "scaled.nix=1"], "step 'scaled' has no setting 'nix'\n  fix: its settings: fac"),
        (["--set", "factor"], "--set: expected [STEP.]SETTING=VALUE, found 'factor'"),
    ],
)
def test_wrong_calls(project, args, message):
    answer = project("run", *args)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {message}")
    assert "Traceback" not in answer.err


def test_a_mistake_in_the_file_is_named_with_its_line(project):
    project.edit("pipeline.py", "def total(scaled):", "def total(scaled:")
    answer = project("run")
    assert answer.code == 2
    assert "pipeline.py:14" in answer.err
    assert "Traceback" not in answer.err


def test_parts_of_a_run_take_what_is_stored(project):
    project("run")
    project.edit("helpers.py", "number * factor", "number + factor")
    answer = project("run", "--only", "total")
    assert marks(answer.out) == {"total": "="}
    assert re.search(
        r"^  ~ scaled   as stored by run 2\d{7}-\d{6}-\w{4}\n", answer.out, re.MULTILINE
    )
    assert "1 step: 1 cached, 1 taken in " in answer.out
    answer = project("run", "--from", "scaled", "--jobs", "1")
    assert marks(answer.out) == {"scaled": "+", "total": "+"}
    assert list(project("run", "--only", "total", "--json").json["taken"]) == ["scaled"]


def test_a_dry_run_says_what_would_run_and_writes_nothing(project):
    shown = project("run", "--dry-run").out
    assert "pipeline.py: 3 of 3 steps to run" in shown
    assert not (project.root / ".gristmill").exists()
    project("run")
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*")}
    shown = project("run", "--dry-run", "--from", "total", "--force", "total").out
    assert re.search(r"scaled +taken .*as stored by run", shown)
    assert re.search(r"total +run .*forced", shown)
    plan = project("run", "--dry-run", "--set", "factor=7", "--json").json
    assert [node["action"] for node in plan["children"]] == ["cached", "run", "run"]
    assert {path: path.stat().st_mtime_ns for path in project.root.rglob("*")} == before


def test_a_parameter_is_of_all_steps_that_have_it_and_may_come_from_a_file(project):
    project.edit("pipeline.py", "def total(scaled):", "def total(scaled, factor=1):")
    project.write("night.toml", "factor = 5\n[total]\nfactor = 6\n")
    project("run", "--params", "night.toml")
    shown = project("run", "--set", "factor=7").out
    assert "setting factor: 5 -> 7" in shown
    assert "setting factor: 6 -> 7" in shown


FLAKY = """
from pathlib import Path
from gristmill import step

@step(retries=1, backoff=0.01)
def fetch(calls=Path("calls")):
    calls.open("a").write("x")
    if len(calls.read_text()) < 2:
        raise ValueError("a long reason, " * 10)
    return 1
"""


def test_a_try_that_failed_is_told_in_a_line_and_kept(project):
    project.write("pipeline.py", FLAKY)
    told = project("run").out
    assert re.search(r"\n  ! fetch  \(pipeline.py:9\): ValueError: a long .*; again in \d", told)
    assert marks(told) == {"fetch": "+"}
    (project.root / "calls").unlink()
    step = project("run", "--force", "fetch", "--json").json["steps"][0]
    assert [list(each) for each in step["tries"]] == [["error", "seconds", "waited"]]
