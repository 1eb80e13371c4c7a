"""The plan says before a run what the run then does."""

from __future__ import annotations

from typing import Any

from gristmill.pipeline.planning import explain, with_actual
from gristmill.store.project import Project

SOURCE = """
from gristmill import step
@step
def one(): return [1, 2]
@step
def two(one, factor=2): return [x * factor for x in one]
@step
def three(two): return len(two)
"""


def plan_of(user: Any, **options: Any) -> dict[str, tuple[str, str]]:
    with Project(user.root) as project:
        plan = explain(user.load(), project, **options)
    return {node.what: (node.action, node.why) for node in plan.children}


def test_before_the_first_run_everything_is_to_run(user: Any) -> None:
    user.write(pipeline=SOURCE)
    assert plan_of(user) == {
        "one": ("run", "first run"),
        "two": ("run", "one runs first"),
        "three": ("run", "two runs first"),
    }


def test_the_plan_names_what_changed_and_what_follows_from_it(user: Any) -> None:
    user.write(pipeline=SOURCE).run()
    user.edit("pipeline", "x * factor", "x + factor")
    assert plan_of(user) == {
        "one": ("cached", "up to date"),
        "two": ("run", "pipeline.two changed"),
        "three": ("run", "two runs first"),
    }


def test_estimates_are_the_figures_of_the_last_real_run(user: Any) -> None:
    first = user.write(pipeline=SOURCE).run()
    user.run()
    with Project(user.root) as project:
        plan = explain(user.load(), project, settings={"two": {"factor": 3}})
    two = next(node for node in plan.children if node.what == "two")
    assert two.action == "run"
    assert two.estimated.rows == 2
    assert two.estimated.seconds == first.executions["two"].seconds
    assert plan.action == "2 of 3 steps to run"


def test_explaining_runs_nothing(user: Any) -> None:
    user.write(pipeline=SOURCE.replace("return [1, 2]", "raise RuntimeError"))
    assert plan_of(user)["one"] == ("run", "first run")


def test_actual_figures_stand_beside_the_estimates(user: Any) -> None:
    user.write(pipeline=SOURCE)
    with Project(user.root) as project:
        plan = explain(user.load(), project)
    result = user.run()
    done = with_actual(plan, result)
    assert [node.action for node in done.children] == ["done", "done", "done"]
    actual = done.children[1].actual
    assert actual is not None
    assert actual.seconds == result.executions["two"].seconds
