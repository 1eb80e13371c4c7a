"""Steps that are called once per element: what is called again, what is kept, what is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from tests.s3_server import S3Server

from gristmill.core.errors import DataError, UsageError
from gristmill.engine import Engine
from gristmill.pipeline.running import RunResult
from gristmill.pipeline.steps import step
from gristmill.store.gathered import read_gathered
from gristmill.store.parcels import Parcel
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

PIPELINE = """
import os
from pathlib import Path
from gristmill import step
import helpers

HERE = Path(__file__).parent

@step
def words(text="one two three two"):
    return text.split()

@step
def suffix():
    return "!"

@step(each="words")
def shouted(word, suffix, times=1):
    with (HERE / "called").open("a") as file:
        file.write(word + "\\n")
    return helpers.shout(word) * times + suffix

@step
def joined(shouted):
    return " ".join(shouted)
"""
HELPERS = """
def shout(word):
    if word == "bad":
        raise ValueError("a bad word")
    return word.upper()
"""

Shown = Callable[[RunResult], dict[str, str]]


@pytest.fixture
def project(user: Any) -> Any:
    return user.write(pipeline=PIPELINE, helpers=HELPERS)


def called(project: Any) -> list[str]:
    """Return what the function was called with since this was asked last."""
    file = project.root / "called"
    found = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def tally(result: RunResult, name: str = "shouted") -> dict[str, Any]:
    return result.executions[name].reach["elements"]


def test_each_element_once_and_the_results_in_order(project: Any) -> None:
    result = project.run()
    assert result.load("shouted") == ["ONE!", "TWO!", "THREE!", "TWO!"]
    assert result.load("joined") == "ONE! TWO! THREE! TWO!"
    assert called(project) == ["one", "two", "three"]
    assert tally(result) == {"all": 4, "ran": 3, "failed": {}}


def test_a_changed_element_is_called_alone(project: Any, reasons: Shown) -> None:
    project.run()
    called(project)
    result = project.run(settings={"words": {"text": "one four two"}})
    assert result.load("joined") == "ONE! FOUR! TWO!"
    assert called(project) == ["four"]
    assert tally(result) == {"all": 3, "ran": 1, "failed": {}}
    # In another order all of them are known.
    assert project.value("joined", settings={"words": {"text": "two one"}}) == "TWO! ONE!"
    assert called(project) == []


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("helpers", "word.upper()", "word.title()"),
        ("pipeline", "times=1", "times=2"),
        ("pipeline", 'return "!"', 'return "?"'),
    ],
)
def test_code_settings_and_whole_inputs_count_for_all_elements(
    project: Any, file: str, old: str, new: str
) -> None:
    project.run()
    before = called(project)
    project.edit(file, old, new).run()
    assert called(project) == before


def test_a_second_run_calls_nothing(project: Any, statuses: Shown) -> None:
    project.run()
    called(project)
    result = project.run()
    assert set(statuses(result).values()) == {"cached"}
    assert called(project) == []
    assert called(project.run(force=["shouted"]) and project) == ["one", "two", "three"]


def test_what_fails_is_named_with_its_line_and_the_others_are_kept(
    project: Any, statuses: Shown
) -> None:
    text = {"words": {"text": "one bad two"}}
    result = project.run(settings=text)
    assert statuses(result)["shouted"] == "failed"
    assert statuses(result)["joined"] == "blocked"
    assert str(result.error) == (
        "step 'shouted': 1 of 3 elements failed; element 1: helpers.py:4: ValueError: a bad word\n"
        "  fix: correct the cause and run again: the other 2 are kept"
    )
    assert tally(result)["failed"] == {"1": "helpers.py:4: ValueError: a bad word"}
    called(project)
    assert project.run(settings=text).error is not None
    assert called(project) == ["bad"]
    # What is called again is decided by code: a new helper is a new function for every element.
    assert project.run(settings={"words": {"text": "two one"}}).load("joined") == "TWO! ONE!"
    assert called(project) == []


def test_an_error_of_ours_keeps_its_kind_and_many_are_counted(user: Any) -> None:
    user.write(
        pipeline="from gristmill import step\nfrom gristmill.core.errors import DataError\n"
        "@step\ndef numbers():\n    return list(range(1200))\n"
        "@step(each='numbers')\ndef even(number):\n"
        "    if number % 2:\n        raise DataError('is odd', where=f'n{number}', fix='drop it')\n"
        "    return number\n"
    )
    error = user.run().error
    assert isinstance(error, DataError)
    assert error.message == (
        "600 of 1,200 elements failed; element 1: pipeline.py:9, n1: is odd; "
        "element 3: pipeline.py:9, n3: is odd; element 5: pipeline.py:9, n5: is odd; "
        "and 597 more"
    )
    assert error.fix == "drop it"


def test_a_dict_gives_a_dict_and_a_table_is_cut_into_rows(user: Any) -> None:
    user.write(
        pipeline="import polars as pl\nfrom pathlib import Path\nfrom gristmill import step\n"
        "from gristmill.pipeline import workdir\n"
        "@step\ndef table():\n    return pl.DataFrame({'n': list(range(7))})\n"
        "@step(each='table', rows=3)\ndef sums(part):\n    return part.sum()\n"
        "@step\ndef total(sums):\n    return pl.concat(sums)['n'].to_list()\n"
        "@step\ndef named():\n    return {'a': pl.DataFrame({'n': [1]}), 'b': pl.DataFrame()}\n"
        "@step(each='named')\ndef heights(frame):\n    return frame.height\n"
        "@step(each='heights')\ndef doubled(height):\n    return 2 * height\n"
        "@step\ndef folder():\n    place = workdir() / 'texts'\n    place.mkdir()\n"
        "    for name in ('y', 'x'):\n        (place / name).write_text(name * 2)\n"
        "    return place\n"
        "@step(each='folder')\ndef texts(file):\n    return file.name + file.read_text()\n"
        "@step\ndef one():\n    return 1\n"
        "@step(each='one')\ndef none(element):\n    return element\n"
    )
    result = user.run()
    assert result.load("total") == [3, 12, 6]
    assert result.load("heights") == {"a": 1, "b": 0}
    assert result.load("doubled") == {"a": 2, "b": 0}
    assert result.load("texts") == ["xxx", "yyy"]
    assert isinstance(result.error, UsageError)
    assert result.error.message == "expected a list, a dict, a folder or a table, found a json"


def test_a_step_without_an_element_is_refused() -> None:
    with pytest.raises(UsageError, match="once per element of 'words', but takes none"):

        @step(each="words")
        def shouted(times: int = 1) -> None: ...

    with pytest.raises(UsageError, match="expected at least 1 row, found 0"):
        step(each="words", rows=0)(lambda word: word)


def test_a_step_that_becomes_one_per_element_runs_again(user: Any) -> None:
    user.write(
        pipeline="from gristmill import step\n@step\ndef pair():\n    return [[1], [2, 3]]\n"
        "@step\ndef size(pair):\n    return len(pair)\n"
    )
    assert user.value("size") == 2
    user.edit("pipeline", "@step\ndef size", "@step(each='pair')\ndef size")
    assert user.value("size") == [1, 2]


def test_a_run_that_was_stopped_goes_on_at_the_element(project: Any) -> None:
    stop = "import pipeline, pathlib\n" + HELPERS.replace(
        "    if word",
        "    if word == 'two' and not (pipeline.HERE / 'go').exists():\n"
        "        raise KeyboardInterrupt\n    if word",
    )
    project.write(helpers=stop)
    with pytest.raises(KeyboardInterrupt):
        project.run()
    assert called(project) == ["one", "two"]
    (project.root / "go").touch()
    assert project.value("joined") == "ONE! TWO! THREE! TWO!"
    assert called(project) == ["two", "three"]


def test_the_record_of_a_thousand_elements_is_one_execution(user: Any) -> None:
    user.write(
        pipeline="from gristmill import step\n@step\ndef numbers():\n    return list(range(1000))\n"
        "@step(each='numbers')\ndef squared(number):\n    return number * number\n"
        "@step\ndef total(squared):\n    return sum(squared)\n"
    )
    result = user.run()
    assert result.load("total") == sum(number * number for number in range(1000))
    with Project(user.root) as project:
        log = RunLog(project)
        assert [found.step for found in log.of_run(result.run)] == ["numbers", "squared", "total"]
        assert len(str(log.of_run(result.run)[1].reach)) < 1000


def test_every_engine_gives_the_same(project: Any, any_engine: Engine) -> None:
    here = project.run().executions["joined"].output
    called(project)
    settings = {"shouted": {"times": 2}}
    result = project.run(engine=any_engine, settings=settings)
    assert result.error is None
    assert sorted(called(project)) == ["one", "three", "two"]
    assert result.load("joined") == "ONEONE! TWOTWO! THREETHREE! TWOTWO!"
    assert here != result.executions["joined"].output


def test_an_element_that_kills_its_worker_costs_no_other(project: Any) -> None:
    deadly = HELPERS.replace("raise ValueError", "os.kill(os.getpid(), 9) # ")
    project.write(helpers="import os\n" + deadly)
    result = project.run(engine="local:2", settings={"words": {"text": "one bad two"}})
    assert result.error is not None
    assert "1 of 3 elements failed; element 1: " in result.error.message
    assert "the worker process was killed" in result.error.message
    calls = called(project)
    assert sorted(set(calls)) == ["bad", "one", "two"]
    assert (calls.count("one"), calls.count("two")) == (1, 1)
    assert tally(result)["ran"] == 2


ENGINES = """
from gristmill import step
from gristmill.engine import current_engine

@step
def kind():
    engine = current_engine()
    return None if engine is None else [engine.name, engine.parallelism]
"""


def test_steps_find_the_engine_of_the_run_and_no_key_knows_of_it(user: Any) -> None:
    user.write(pipeline=ENGINES)
    assert user.value("kind") is None
    assert user.value("kind", engine="local:3") is None  # up to date, whatever the engine
    assert user.value("kind", engine="local:3", force=["kind"]) == ["local", 3]
    (user.root / "gristmill.toml").write_text('engine = "inline"\n')
    assert user.value("kind", force=["kind"]) == ["inline", 1]
    assert user.value("kind", engine="local:2", force=["kind"]) == ["local", 2]


def test_an_engine_is_opened_only_where_a_step_runs(
    user: Any, statuses: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write(pipeline=ENGINES)

    def refuse(name: str, **_: object) -> None:
        raise UsageError(f"cannot join {name}")

    with monkeypatch.context() as patched:
        # A cluster that nobody can join; of Ray's, this process may have joined another one.
        patched.setattr("gristmill.engine.opening.open_engine", refuse)
        with pytest.raises(UsageError, match="cannot join local:2"):
            user.run(engine="local:2")
        user.run()
        assert statuses(user.run(engine="local:2")) == {"kind": "cached"}
    with pytest.raises(UsageError, match="unknown engine 'sprak'"):
        user.run(engine="sprak")


@pytest.mark.s3
@pytest.mark.xdist_group("s3")
def test_large_results_go_to_a_store_that_workers_reach(
    user: Any, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write(
        pipeline="import os\nimport numpy as np\nfrom gristmill import step\n"
        "@step\ndef sizes():\n    return [10, 100_000, 200_000]\n"
        "@step(each='sizes')\ndef ones(size):\n    return np.ones(size)\n"
        "@step(each='ones')\ndef sums(array):\n    return float(array.sum())\n"
    )
    (user.root / "gristmill.toml").write_text('artifacts = "s3://mill/elements"\n')
    written: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(Parcel, "lay_out", lambda self, folder: written.append(self.codec))
        result = user.run(engine="local:2")
    assert result.error is None
    assert result.load("sums") == [10.0, 100_000.0, 200_000.0]
    assert written == []  # this process has laid out none of the arrays
    with Project(user.root) as project:
        shutil.rmtree(project.home / "cache")
        assert [len(array) for array in result.load("ones")] == [10, 100_000, 200_000]


def test_results_are_the_same_artifact_however_their_calls_were_paced(
    project: Any, reasons: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = " ".join(f"w{number}" for number in range(30))
    given = {"words": {"text": words}}
    found = {project.run(settings=given).executions["shouted"].output}
    # Now each result is written as it comes.
    monkeypatch.setattr("gristmill.pipeline.element_run._SECONDS_AT_RISK", 0.0)
    forced = project.run(settings=given, force=["shouted"])
    found.add(forced.executions["shouted"].output)
    assert reasons(forced) == {"shouted": "forced"}, "what takes them is up to date"
    shutil.rmtree(project.root / ".gristmill")
    result = project.run(settings={"words": {"text": "one"}})
    result = project.run(settings=given)
    found.add(result.executions["shouted"].output)
    assert len(found) == 1
    assert result.load("shouted") == [f"{word.upper()}!" for word in words.split()]


def test_one_new_result_makes_one_pack_new(project: Any) -> None:
    words = [f"w{number}" for number in range(3000)]
    packs = []
    for text in (words, [*words[:1500], "new", *words[1500:]]):
        result = project.run(settings={"words": {"text": " ".join(text)}})
        with Project(project.root) as opened:
            log = RunLog(opened)
            gathered = read_gathered(log.files(result.executions["shouted"].output or ""))
        packs.append({member.artifact for member in gathered.members})
    assert len(packs[0]) > 3
    assert len(packs[1] - packs[0]) == 1
