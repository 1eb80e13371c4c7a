"""Why did it run, what is different, what can go: asked at the prompt."""

from __future__ import annotations

import os
import time

import pytest

OLD = time.time() - 90 * 86_400


@pytest.fixture
def two_runs(project):
    """A run, and another after an edit and with another setting; returns their ids."""
    first = project("run", "--json").json["run"]
    project.edit("helpers.py", "* factor", "* factor + 1")
    second = project("run", "--set", "scaled.factor=3", "--json").json["run"]
    return first, second


def test_why_a_step_ran_and_why_not(project, two_runs) -> None:
    ran = project("why", "scaled").out
    assert "scaled  done in run " in ran
    assert "    - helpers.scale changed\n    - setting factor: 2 -> 3\n" in ran
    assert "    setting factor = 3\n" in ran
    assert "    code helpers.scale\n" in ran
    cached = project("why", "numbers", "--json").json
    assert (cached["status"], cached["made_by"]) == ("cached", two_runs[0])
    assert cached["reasons"] == ["first run"]
    assert "up to date: " in project("why", "numbers").out


def test_why_of_what_is_not_there(project, two_runs) -> None:
    answer = project("why", "train")
    assert answer.code == 2
    assert "has no step 'train'" in answer.err
    assert "its steps: numbers, scaled, total" in answer.err


def test_what_is_different_between_runs(project, two_runs) -> None:
    told = project("diff", two_runs[0]).out
    assert "scaled\n  setting  factor: 2 -> 3\n  code     helpers.scale changed\n" in told
    assert "the same: 1 step\n" in told
    steps = {
        each["step"]: each["changes"] for each in project("diff", *two_runs, "--json").json["steps"]
    }
    assert [change["what"] for change in steps["total"]] == ["input", "result"]
    assert "nothing is different" in project("diff", two_runs[1], "last").out


def test_new_data_and_who_told_them_are_differences(prompt) -> None:
    prompt.write(
        "pipeline.py",
        """
from pathlib import Path

import polars as pl

from gristmill import step


@step
def gold(told: Path = Path(__file__).parent / "told.csv") -> pl.DataFrame:
    return pl.read_csv(told)
""",
    )
    for text in ("label,annotator\nspam,anna\n", "label,annotator\nspam,anna\nham,ben\n"):
        prompt.write("told.csv", text)
        assert prompt("run").code == 0
    runs = [each["id"] for each in prompt("runs", "--json").json]
    told = prompt("diff", runs[1], runs[0]).out
    assert f"gold\n  data     told ({prompt.root / 'told.csv'}) changed\n" in told
    assert "  figure   told by ben: (absent) -> 1\n" in told
    assert "told by anna" not in told
    lines = prompt("lineage", "gold").out.splitlines()
    assert lines[3:5] == ["    reads told.csv", "    told by anna (1), ben (1)"]


def test_a_failure_and_an_absent_step_are_differences(project, two_runs) -> None:
    project.write("helpers.py", "def scale(numbers, factor):\n    raise ValueError('no')\n")
    project("run")
    told = project("diff", two_runs[1]).out
    assert "status   status: done -> " in told
    assert "ValueError: no" in told


def test_old_results_go_and_their_step_runs_again(project, two_runs) -> None:
    for shelf in (project.root / ".gristmill" / "artifacts").iterdir():
        for place in shelf.iterdir():
            os.utime(place, (OLD, OLD))
    kept = project("gc", "--keep-days", "30", "--json").json
    assert kept["removed"] == 0
    seen = project("gc", "--keep-runs", "1", "--keep-days", "0", "--dry-run", "--json").json
    assert (seen["removed"], seen["kept"], seen["dry_run"]) == (3, 5, True)
    # Two results and the code of the first run; the second keeps its code and its packages.
    gone = project("gc", "--keep-runs", "1", "--keep-days", "0")
    assert gone.out.startswith("3 artifacts removed, ")
    project.edit("helpers.py", "* factor + 1", "* factor")
    again = project("run", "--json").json["steps"]
    assert [step["status"] for step in again] == ["cached", "done", "done"]
