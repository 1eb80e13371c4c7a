"""After which errors a step is tried again, after how long, and what is kept of the tries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError, GateError, LabelError, StepError, UsageError
from gristmill.pipeline.step_output import printed_by
from gristmill.pipeline.steps import step
from gristmill.pipeline.tries import MOST_SECONDS, Try, may_pass, seconds_until_next
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

FLAKY = """
from pathlib import Path
from gristmill import step
HERE = Path(__file__).parent

@step(retries=2, backoff=0.01)
def fetch(bad: int = 2, error: str = "OSError"):
    with (HERE / "calls").open("a") as file:
        file.write("x")
    if len((HERE / "calls").read_text()) <= bad:
        raise {"OSError": OSError, "NameError": NameError}[error]("no route")
    return "got it"

@step
def after(fetch):
    return fetch
"""


@settings(max_examples=40)
@given(st.floats(0.001, 100), st.integers(1, 200), st.text())
def test_waits_double_within_their_jitter_and_depend_on_the_key_alone(
    first: float, failed: int, key: str
) -> None:
    most = min(first * 2.0**failed / 2, MOST_SECONDS)
    wait = seconds_until_next(first, failed, key)
    assert most / 2 <= wait <= most
    assert wait == seconds_until_next(first, failed, key)


def test_steps_that_failed_together_do_not_come_back_together() -> None:
    assert len({seconds_until_next(1.0, 1, f"key {number}") for number in range(50)}) == 50


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError("no route"), True), (DataError("half a file"), True), (StepError("died"), True),
        (ValueError("x"), True), (UsageError("x"), False), (GateError("x"), False),
        (LabelError("x"), False), (NameError("x"), False), (ImportError("x"), False),
        (SystemExit(1), False),
    ],
)  # fmt: skip
def test_what_would_be_the_same_again_is_not_tried_again(error: Any, passes: bool) -> None:
    assert may_pass(error) == passes


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.tries: list[Try] = []

    def failed(self, step: Any, failed: Try) -> None:
        self.tries.append(failed)

    def started(self, run: str, pipeline: Any) -> None: ...

    taken = running = ended = lambda *_: None


def test_a_step_that_comes_right_is_done_and_its_tries_are_told_and_recorded(user: Any) -> None:
    heard = Heard()
    result = user.write(pipeline=FLAKY).run(listener=heard)
    assert result.load("after") == "got it"
    recorded = result.executions["fetch"].reach["tries"]
    assert [each["error"] for each in recorded] == ["step 'fetch' (pipeline.py:11): no route"] * 2
    assert [each["waited"] for each in recorded] == [each.waited for each in heard.tries]
    assert recorded[0]["waited"] <= 0.01 < 2 * recorded[1]["waited"] + 0.001
    with_project = result.log.of_run(result.run)
    assert [each.reach.get("tries") for each in with_project] == [recorded, None]


@pytest.mark.parametrize(
    ("settings", "calls"), [({"bad": 9}, 3), ({"bad": 9, "error": "NameError"}, 1)]
)
def test_a_step_that_does_not_come_right_fails(
    user: Any, settings: dict[str, Any], calls: int, statuses: Any
) -> None:
    result = user.write(pipeline=FLAKY).run(settings={"fetch": settings})
    assert statuses(result) == {"fetch": "failed", "after": "blocked"}
    assert (user.root / "calls").read_text() == "x" * calls
    assert len(result.executions["fetch"].reach.get("tries", [])) == calls - 1


def test_while_a_step_waits_for_its_next_try_others_run(user: Any) -> None:
    user.write(
        pipeline=FLAKY.replace("backoff=0.01", "backoff=0.2")
        + "\n@step\ndef late():\n    return 1\n"
    )
    result = user.run()
    began = {name: each.started for name, each in result.executions.items()}
    assert began["late"] < began["fetch"]
    assert list(result.executions) == ["fetch", "after", "late"]  # the order of the pipeline


def test_elements_that_failed_are_called_again_alone(user: Any) -> None:
    user.write(
        pipeline="from pathlib import Path\nfrom gristmill import step\n"
        "HERE = Path(__file__).parent\n"
        "@step(each=[1, 2, 3], retries=1, backoff=0.01)\ndef one(number):\n"
        "    seen = HERE / f'seen{number}'\n"
        "    seen.write_text((seen.read_text() if seen.exists() else '') + 'x')\n"
        "    if number == 2 and seen.read_text() == 'x':\n        raise OSError('no route')\n"
        "    return number\n"
    )
    assert user.value("one") == [1, 2, 3]
    assert [(user.root / f"seen{each}").read_text() for each in (1, 2, 3)] == ["x", "xx", "x"]


def test_limits_change_no_key_and_nonsense_is_refused(user: Any, statuses: Any) -> None:
    user.write(pipeline="from gristmill import step\n@step\ndef one():\n    return 1\n").run()
    user.edit("pipeline", "@step\n", "@step(retries=3, backoff='2s', timeout='10m')\n")
    assert statuses(user.run()) == {"one": "cached"}
    for options, message in (
        ({"retries": -1}, "expected 0 retries or more, not -1"),
        ({"timeout": 0}, "expected a timeout above 0 s"),
        ({"timeout": "soon"}, "expected a duration"),
    ):
        with pytest.raises(UsageError, match=message):
            step(**options)(lambda: 1)


def test_the_log_has_what_each_try_printed(user: Any) -> None:
    user.write(
        pipeline="import os\nfrom gristmill import step\nfrom gristmill.pipeline import workdir\n"
        "@step(retries=2, backoff=0.01)\ndef fetch():\n"
        "    tried = workdir() / 'tried'\n"
        "    count = len(tried.read_text()) if tried.exists() else 0\n"
        "    tried.write_text('x' * (count + 1))\n"
        "    os.write(1, f'this is {count}\\n'.encode())\n"
        "    if count < 2:\n        raise OSError('no route')\n"
    )
    result = user.run()
    with Project(user.root) as project:
        log = RunLog(project)
        text = printed_by(log, log.of_run(result.run)[0])
    lines = text.splitlines()
    assert [line for line in lines if line.startswith(("this", "[", "OSError"))] == [
        "[try 1: step 'fetch' (pipeline.py:11): no route]", "this is 0", "OSError: no route",
        "[try 2: step 'fetch' (pipeline.py:11): no route]", "this is 1", "OSError: no route",
        "[try 3]", "this is 2",
    ]  # fmt: skip
