"""Parts of a pipeline: on what is stored, with which settings, forced or not."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.core.errors import GateError, UsageError
from gristmill.pipeline.planning import explain
from gristmill.store.project import Project

PIPELINE = """
from gristmill import step

@step
def load(size: int = 3, seed: int = 0):
    return list(range(seed, seed + size))

@step
def clean(load):
    return [each * 2 for each in load]

@step
def train(clean, seed: int = 0):
    return sum(clean) + seed

@step
def report(train, clean):
    return [train, clean]

@step
def aside(load):
    return len(load)
"""


@pytest.fixture
def project(user: Any) -> Any:
    return user.write(pipeline=PIPELINE)


def test_only_runs_its_steps_on_what_was_stored_last(project: Any, statuses: Any) -> None:
    first = project.run()
    project.edit("pipeline", "each * 2", "each * 3").edit("pipeline", "+ seed\n", "- 1 + seed\n")
    result = project.run(only=["train"])
    assert statuses(result) == {"train": "done"}
    assert result.taken["clean"].run == first.run
    assert result.load("train") == 5
    assert result.load("clean") == [0, 2, 4]
    assert project.run(only=["report"]).load("report") == [5, [0, 2, 4]]


def test_from_runs_a_step_and_all_that_follows_but_nothing_before(
    project: Any, statuses: Any
) -> None:
    project.run()
    project.edit("pipeline", "range(seed", "range(1 + seed").edit(
        "pipeline", "each * 2", "each * 3"
    )
    result = project.run(start=["clean"])
    assert statuses(result) == {"clean": "done", "train": "done", "report": "done"}
    assert result.load("report") == [9, [0, 3, 6]]
    assert statuses(project.run(start=["clean"], targets=["train"])) == {
        "clean": "cached", "train": "cached",
    }  # fmt: skip
    assert statuses(project.run(start=["train"], force=["train"])) == {
        "train": "done", "report": "cached",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ({"only": ["train"]}, "step 'train' takes the stored result of 'clean', and there is none",
         "make it first: gristmill run pipeline.py --step clean"),
        ({"start": ["clean"]}, "step 'clean' takes the stored result of 'load'", "--step load"),
        ({"only": ["trian"]}, "there is no step 'trian'", "did you mean 'train'?"),
        ({"start": ["trian"]}, "there is no step 'trian'", "did you mean 'train'?"),
        ({"only": ["load"], "targets": ["load"]}, "`only` names all steps", "use --only alone"),
        ({"start": ["aside"], "targets": ["train"]}, "'train' needs nothing of 'aside'", None),
        ({"targets": ["aside"], "force": ["train"]}, "step 'train' is to be forced", "leave out"),
        ({"parameters": {"sede": 1}}, "no step has a setting 'sede'", "settings: seed, size"),
        ({"jobs": 0}, "expected at least 1 job, found 0", None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_anything_runs(
    project: Any, options: dict[str, Any], message: str, fix: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        project.run(**options)
    assert message in caught.value.message
    assert (fix or "") in (caught.value.fix or "")
    with Project(project.root) as opened, opened.database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from runs").scalar() == 0


def test_a_result_that_is_gone_is_not_taken(project: Any) -> None:
    output = project.run().executions["clean"].output
    with Project(project.root) as opened:
        opened.artifacts.remove([output])
    with pytest.raises(UsageError, match="stored result of 'clean', and there is none"):
        project.run(only=["train"])


def test_a_gate_that_is_shut_stays_shut_for_what_is_run_alone(user: Any, statuses: Any) -> None:
    user.write(
        pipeline="from gristmill import step\nfrom gristmill.pipeline import Verdict\n"
        "@step\ndef gate():\n    return Verdict('hold', ['not better'], 'm')\n"
        "@step\ndef deploy(gate):\n    return 1\n"
    ).run()
    result = user.run(only=["deploy"])
    assert statuses(result) == {"deploy": "blocked"}
    assert isinstance(result.error, GateError)


def test_a_parameter_goes_to_every_step_that_has_it_and_a_setting_comes_before(
    project: Any,
) -> None:
    result = project.run(parameters={"seed": 5}, settings={"train": {"seed": 100}})
    assert result.load("load") == [5, 6, 7]
    assert result.load("train") == 136
    assert project.value("train", parameters={"seed": 5}) == 41


def test_the_plan_of_a_part_is_what_its_run_does_and_writes_nothing(
    project: Any, statuses: Any
) -> None:
    project.run()
    project.edit("pipeline", "each * 2", "each * 3")
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*")}
    for options in ({"start": ["clean"]}, {"only": ["train"]}, {"force": ["load"]}, {}):
        with Project(project.root, read_only=True) as opened:
            plan = explain(project.load(), opened, **options)
        planned = {node.what: node.action for node in plan.children}
        assert {path: path.stat().st_mtime_ns for path in project.root.rglob("*")} == before
        if options == {"start": ["clean"]}:
            assert planned == {"load": "taken", "clean": "run", "train": "run", "report": "run"}
        elif options == {"only": ["train"]}:
            assert planned == {"clean": "taken", "train": "cached"}
        elif options:
            assert planned["load"] == planned["clean"] == planned["aside"] == "run"
    assert statuses(project.run(only=["train"])) == {"train": "cached"}


def test_values_to_fan_out_over_are_a_setting(user: Any) -> None:
    user.write(
        pipeline="from gristmill import step\n"
        "@step\ndef base():\n    return 10\n"
        "@step(each=[{'rate': 1}, {'rate': 2}])\ndef fit(params: dict, base: int, more: int = 0):\n"
        "    return params['rate'] * base + more\n"
        "@step(each={'low': 1, 'high': 3})\ndef named(value: int):\n    return -value\n"
        "@step\ndef best(fit: list, named: dict):\n    return [max(fit), named]\n"
    )
    assert user.value("best") == [20, {"low": -1, "high": -3}]
    result = user.run(settings={"fit": {"params": [{"rate": 2}, {"rate": 7}]}})
    assert result.load("fit") == [20, 70]
    # What is called again is the element that was not there before.
    assert result.executions["fit"].reach["elements"] == {"all": 2, "ran": 1, "failed": {}}
    wrong = user.run(settings={"fit": {"params": 3}})
    assert "expected a list or a dict of plain values, found a int" in str(wrong.error)
