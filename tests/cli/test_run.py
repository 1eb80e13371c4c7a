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
    assert answer.err == "error: step 'release': gate said reject\n"


def test_what_the_cache_cannot_see_is_listed(project):
    project.edit("helpers.py", "return [", "eval('1')\n    return [")
    answer = project("run")
    assert "not seen by the cache (decided at run time):\n  helpers.py:3: " in answer.out
    assert "not seen" not in project("run").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nix.py"], "nix.py: there is no such pipeline file\n  fix: name a Python file"),
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
