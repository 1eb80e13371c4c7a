from __future__ import annotations


def plans(answer):
    return {
        node["what"]: (node.get("action", "run"), node["why"]) for node in answer.json["children"]
    }


def test_before_the_first_run_everything_is_to_run(project):
    answer = project("explain", "--json")
    assert answer.code == 0
    assert plans(answer) == {
        "numbers": ("run", "first run"),
        "scaled": ("run", "numbers runs first"),
        "total": ("run", "scaled runs first"),
    }


def test_nothing_runs_and_nothing_is_written(project):
    project("explain")
    assert sorted(path.name for path in project.root.iterdir()) == ["helpers.py", "pipeline.py"]


def test_after_a_run_everything_is_cached_with_its_figures(project):
    project("run")
    answer = project("explain")
    assert answer.out.count("up to date") == 3
    assert "pipeline.py: 0 of 3 steps to run, 0 ms expected" in answer.out
    node = project("explain", "--json").json["children"][0]
    assert node["estimated"]["bytes_"] > 0
    assert node["estimated"]["seconds"] > 0


def test_an_edit_shows_in_the_plan(project):
    project("run")
    project.edit("helpers.py", "number * factor", "number + factor")
    assert plans(project("explain", "--json")) == {
        "numbers": ("cached", "up to date"),
        "scaled": ("run", "helpers.scale changed"),
        "total": ("run", "scaled runs first"),
    }
    assert "2 of 3 steps to run" in project("explain").out


def test_targets_and_settings(project):
    project("run")
    answer = project("explain", "--json", "--step", "scaled", "--set", "scaled.factor=7")
    assert plans(answer) == {
        "numbers": ("cached", "up to date"),
        "scaled": ("run", "setting factor: 2 -> 7"),
    }


def test_many_reasons_are_shortened(project):
    names = ["ALPHA", "BETA", "DELTA", "GAMMA"]
    lines = [f"{name} = {number}" for number, name in enumerate(names)]
    body = "\n".join(["from gristmill import step", *lines, "@step", "def add():", "    return "])
    project.write("pipeline.py", f"{body}{' + '.join(names)}\n")
    project("run")
    project.edit("pipeline.py", " = ", " = 1")
    words = " ".join(project("explain").out.split())
    assert "pipeline.ALPHA changed, pipeline.BETA changed and 2 more" in words
    (why,) = (why for _, why in plans(project("explain", "--json")).values())
    assert why == ", ".join(f"pipeline.{name} changed" for name in names)


def test_analyze_runs_and_shows_what_it_took(project):
    answer = project("explain", "--analyze")
    assert "actual" in answer.out
    assert "3 of 3 steps ran" in answer.out
    assert "taken" in answer.out
    assert "cached" in project("explain").out


def test_analyze_ends_with_the_error_of_its_run(project):
    project.edit("helpers.py", "return [", "return 1 / 0 or [")
    answer = project("explain", "--analyze")
    assert answer.code == 6
    assert "blocked" in answer.out
    assert "error: step 'scaled' (helpers.py:3): ZeroDivisionError" in answer.err
