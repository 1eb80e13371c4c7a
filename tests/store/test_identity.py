"""An id in the user's hand leads to an artifact, or to an error that says what would."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gristmill.core.errors import UsageError
from gristmill.store.identity import resolve
from gristmill.store.project import Project
from gristmill.store.runs import Execution, RunLog


class Bundle:
    """Stands for a bundle: only its class's name and its summary matter here."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def save(self, folder: Path) -> None:
        (folder / "manifest.json").write_text(self.fingerprint)

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        return cls((folder / "manifest.json").read_text())

    def describe(self) -> dict[str, object]:
        return {"fingerprint": self.fingerprint}


@pytest.fixture
def log(project: Project) -> RunLog:
    log = RunLog(project)
    run = log.start("p.py", {})
    for step, value in (
        ("labels", [1, 2]),
        ("labels", [1, 2, 3]),
        ("bundle", Bundle("ab12cd34ef")),
    ):
        log.record(
            Execution(0, run, step, step, "done", "", {}, time.time(), 0.0,
                      output=log.keep(value).digest),
            "p.py",
        )  # fmt: skip
    return log


def test_a_step_stands_for_its_newest_result(log: RunLog) -> None:
    found = resolve(log, "labels")
    assert (found.kind, found.row) == ("artifact", None)
    assert log.load(found.artifact.digest) == [1, 2, 3]


def test_a_row_of_a_step_or_of_an_artifact(log: RunLog) -> None:
    digest = resolve(log, "labels").artifact.digest
    for text in ("labels/7", f"{digest[:10]}/7"):
        found = resolve(log, text)
        assert (found.kind, found.row, found.artifact.digest) == ("row", "7", digest)


def test_a_prediction_leads_to_its_bundle(log: RunLog) -> None:
    found = resolve(log, "pab12cd34-00112233-x-9")
    assert (found.kind, found.row, found.artifact.kind) == ("prediction", "x-9", "bundle")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "nothing in this project is called 'nothing'"),
        ("p00000000-00112233-9", "no bundle of this project has a fingerprint"),
        ("deadbeef", "no artifact begins with 'deadbeef'"),
    ],
)
def test_an_unknown_id_is_said_to_be_unknown(log: RunLog, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(log, text)
