"""A key changes exactly when the step would do something else; the reasons name what."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.errors import UsageError
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.steps import step
from gristmill.store.runs import Execution


@step
def train(data, rate=0.1, path=Path("nothing")):
    return [data, rate, path]


def key(rate: float = 0.1, path: Path = Path("nothing"), data: str = "d1") -> StepKey:
    return StepKey(train, {"rate": rate, "path": path}, {"data": data})


def before(made: StepKey) -> Execution:
    return Execution(
        1, "r", "train", made.digest, "done", "", made.as_record(), time.time(), 0.0,
        inputs=dict(made.inputs), output="o",
    )  # fmt: skip


def test_equal_circumstances_have_an_equal_key() -> None:
    assert key().digest == key().digest


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"rate": 0.2}, ["setting rate: 0.1 -> 0.2"]),
        ({"data": "d2"}, ["input data changed"]),
        ({"rate": 0.2, "data": "d2"}, ["setting rate: 0.1 -> 0.2", "input data changed"]),
        ({}, ["its result is no longer in the store"]),
    ],
)
def test_the_reasons_say_what_differs_from_last_time(
    changes: dict[str, Any], reasons: list[str]
) -> None:
    assert key(**changes).reasons(before(key())) == reasons
    assert (key(**changes).digest == key().digest) == (not changes)


def test_the_first_run_needs_no_other_reason() -> None:
    assert key().reasons(None) == ["first run"]


def test_a_path_counts_by_what_is_there(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.txt", tmp_path / "sub"
    nothing = key(path=file).digest
    file.write_text("one")
    one = key(path=file).digest
    file.write_text("two")
    two = key(path=file).digest
    folder.mkdir()
    (folder / "x").write_text("one")
    inside = key(path=folder).digest
    (folder / "y").write_text("")
    assert len({nothing, one, two, inside, key(path=folder).digest}) == 5


@dataclass
class Files:
    first: Path
    rate: float = 0.1


def test_paths_within_a_setting_count_by_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    for value in ([file], {"b": (1, file)}, Files(file), [Files(file)]):
        digests = set()
        for text in ("one", "two", "three"):
            file.write_text(text)
            made = StepKey(train, {"rate": value}, {})
            digests.add(made.digest)
        assert len(digests) == 3
        assert [*made.as_record()["paths"].values()] == [str(file)]
        file.write_text("four")
        assert StepKey(train, {"rate": value}, {}).reasons(before(made)) == [
            "setting rate: what is at its paths changed"
        ]


def test_what_a_function_can_tell_apart_is_another_setting() -> None:
    values = [[1, 2], (1, 2), [2, 1], {"a": 1, "b": 2}, {"b": 2, "a": 1}, [True, 2], [1.0, 2], "12"]
    assert len({StepKey(train, {"rate": value}, {}).digest for value in values}) == len(values)


def test_a_setting_without_a_fingerprint_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="the setting 'rate' is a object") as caught:
        _ = StepKey(train, {"rate": object()}, {}).digest
    assert caught.value.where == "step 'train'"
