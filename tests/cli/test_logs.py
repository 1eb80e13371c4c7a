"""`gristmill logs`: what steps printed, on the terminal."""

from __future__ import annotations

import pytest


@pytest.fixture
def talking(project):
    project.edit("helpers.py", "    return [", "    print('scaling')\n    return [")
    project.edit("pipeline.py", "return [1, 2, 3]", "print('counting')\n    return [1, 2, 3]")
    return project


def test_all_steps_of_the_newest_run_or_one(talking) -> None:
    talking("run")
    assert talking("logs").out == (
        "== numbers  done\ncounting\n== scaled  done\nscaling\n== total  done\n"
    )
    assert talking("logs", "last", "scaled").out == "scaling\n"
    assert talking("logs", "last", "total").out == "total printed nothing\n"
    told = talking("logs", "last", "numbers", "--json").json
    assert told["steps"][0]["text"] == "counting\n"


def test_a_cached_step_shows_what_it_printed_when_it_ran(talking) -> None:
    talking("run")
    first = talking("runs", "--json").json[0]["id"]
    talking("run")
    assert f"== numbers  cached, printed in run {first}\ncounting\n" in talking("logs").out
    assert talking("logs", "last", "scaled").out == "scaling\n"


def test_a_failed_step_has_its_traceback_here_and_not_on_the_terminal(talking) -> None:
    talking.edit("helpers.py", "return [", "return 1 / 0 or [")
    answer = talking("run")
    assert "Traceback" not in answer.err + answer.out
    text = talking("logs", "last", "scaled").out
    assert text.startswith("scaling\nTraceback")
    assert "helpers.py" in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_what_was_collected_is_said_to_be_gone(talking, monkeypatch) -> None:
    import shutil

    talking("run")
    shutil.rmtree(talking.root / ".gristmill" / "artifacts")
    assert "it is no longer here" in talking("logs", "last", "scaled").out


def test_a_step_or_run_that_is_not_there(talking) -> None:
    talking("run")
    answer = talking("logs", "last", "nothing")
    assert answer.code == 2
    assert "has no step 'nothing'" in answer.err
    assert "numbers, scaled, total" in answer.err
    assert talking("logs", "1999").code == 2
