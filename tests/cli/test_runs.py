from __future__ import annotations

import pytest

from gristmill.store.project import Project
from gristmill.store.runs import RunLog


def test_a_folder_without_a_project(prompt):
    answer = prompt("runs")
    assert answer.code == 7
    assert answer.err == (
        f"error: {prompt.root}: no project here or in any folder above\n"
        "  fix: go to the project's folder, or start one with `gristmill init NAME`\n"
    )


def test_the_list_has_the_newest_first(project):
    ids = [project("run", "--json").json["run"] for _ in range(3)]
    told = project("runs", "--json", "--limit", "2").json
    assert [item["id"] for item in told] == [ids[2], ids[1]]
    assert {item["status"] for item in told} == {"done"}
    out = project("runs").out
    assert all(run in out for run in ids)
    assert "pipeline.py" in out


@pytest.mark.parametrize("name", ["last", "whole", "beginning"])
def test_one_run(project, name):
    run = project("run", "--json").json["run"]
    answer = project("runs", {"last": "last", "whole": run, "beginning": run[:-2]}[name])
    assert answer.out.startswith(f"run {run}  pipeline.py  done  2")
    assert answer.out.count("first run") == 3


def test_one_run_as_json(project):
    run = project("run", "--json").json["run"]
    told = project("runs", "last", "--json").json
    assert told["run"]["id"] == run
    assert told["run"]["environment"]["python"].startswith("3.")
    assert [step["step"] for step in told["steps"]] == ["numbers", "scaled", "total"]
    assert told["steps"][1]["inputs"] == {"numbers": told["steps"][0]["output"]}


def test_a_failure_keeps_its_message(project):
    project.edit("helpers.py", "return [", "return 1 / 0 or [")
    project("run")
    out = project("runs", "last").out
    assert "failed" in out
    assert "ZeroDivisionError" in out
    assert project("runs", "--json").json[0]["status"] == "failed"


def test_a_run_whose_process_is_gone_was_killed(project):
    with Project(project.root) as opened:
        log = RunLog(opened)
        run = log.start("pipeline.py", {})
        assert project("runs", "--json").json[0]["status"] == "killed"
        with opened.lock(f"run-{run}"):
            assert project("runs", "--json").json[0]["status"] == "running"


def test_no_such_run(project):
    project("run")
    answer = project("runs", "1999")
    assert answer.code == 2
    assert answer.err == ("error: there is no run '1999'\n  fix: list them with `gristmill runs`\n")
