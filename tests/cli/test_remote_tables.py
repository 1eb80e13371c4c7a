"""Commands that take a table whole read it from an object store as from a folder here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.s3_server import S3Server

from gristmill.cli.main import run
from gristmill.data.remote_path import RemotePath

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("s3")]
RULES = """
from gristmill.label import keywords

CLASSES = ["ham", "spam"]
free = keywords("free", ["free"], "spam")
lunch = keywords("lunch", ["lunch"], "ham")
"""
TEXTS = ["free prize", "lunch at noon", "free lunch", "hello"]


@pytest.fixture
def rules(tmp_path: Path) -> str:
    (tmp_path / "rules.py").write_text(RULES)
    return str(tmp_path / "rules.py")


@pytest.fixture
def places(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The same table here and in an object store."""
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "texts.csv"
    here.write_text("text\n" + "".join(f"{each}\n" for each in TEXTS))
    there = RemotePath(f"s3://mill/{tmp_path.name}/texts.csv")
    there.put(here)
    return str(here), str(there)


@pytest.mark.parametrize("command", [["analyze"], ["review", "--annotator", "ann"]])
def test_label_commands(
    places: tuple[str, str], rules: str, capfd: pytest.CaptureFixture[str], command: list[str]
) -> None:
    told = []
    for place in places:
        assert run(["-q", "label", command[0], rules, place, *command[1:], "--json"]) == 0
        told.append(json.loads(capfd.readouterr().out))
    assert told[0] == told[1]


def test_skew(places: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["-q", "validate", "skew", *places, "--on", "text", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["joined"] == len(TEXTS)


@pytest.mark.parametrize(
    "command",
    [
        ["label", "RULES", "MISSING", "-o", "labels"],
        ["validate", "MISSING"],
    ],
    ids=["label", "validate"],
)
def test_a_missing_table_is_told_before_an_engine_opens(
    places: tuple[str, str],
    rules: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    opened: list[object] = []
    monkeypatch.setattr("gristmill.engine.opening.open_engine", opened.append)
    missing = places[1].replace("texts", "text")
    arguments = [{"RULES": rules, "MISSING": missing}.get(each, each) for each in command]
    assert run(["-q", *arguments, "--engine", "local:1"]) == 5
    assert missing in capfd.readouterr().err
    assert opened == []
