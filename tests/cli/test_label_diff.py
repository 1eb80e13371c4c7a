from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gristmill.cli.main import run

RULES = """
from gristmill.label import keywords

CLASSES = ["ham", "spam"]
PRIZES = keywords("prizes", ["win", "free"], "spam")
GREETS = keywords("greets", ["hi"], "ham")
"""
TEXTS = ["win a prize", "hi mum", "free love", "see you", "much love", "hi you"]
PIPELINE = """
import polars as pl
from gristmill import step
from gristmill.label import LabelModel, apply, keywords
from gristmill.label.versions.version import LabelVersion

CLASSES = ["ham", "spam"]

@step
def rows():
    return pl.DataFrame({"text": ["win a prize", "hi mum", "much love"]})

@step
def labels(rows, word="win"):
    functions = [keywords("k", [word], "spam"), keywords("greets", ["hi"], "ham")]
    votes = apply(functions, rows, classes=CLASSES)
    return LabelVersion.of(LabelModel(CLASSES).fit(votes).predict(votes), rows)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pl.DataFrame({"text": TEXTS}).write_csv("data.csv")
    return tmp_path


def label(rules: str, output: str, *more: str) -> None:
    name = f"rules_{Path(output).stem.replace('-', '_')}.py"
    Path(name).write_text(rules)
    assert run(["--quiet", "label", name, "data.csv", "-o", output, *more]) == 0


@pytest.fixture
def versions(capsys: pytest.CaptureFixture[str]) -> None:
    label(RULES, "one")
    label(RULES.replace('"free"', '"love"'), "two")
    capsys.readouterr()


def test_it_says_what_changed_and_which_source_did_it(versions: None, capsys) -> None:
    assert run(["label", "diff", "one", "two"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("one -> two: 1 labels changed")
    assert "sources changed: prizes" in shown
    assert "source changed: prizes" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_json_lists_every_row(versions: None, capsys) -> None:
    assert run(["label", "diff", "one", "two", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (row,) = told["rows"]
    assert (row["row_id"], row["label_before"], row["label_after"]) == (4, None, "spam")
    assert (row["cause"], row["by"], row["alone"]) == ("source changed", "prizes", True)
    assert row["content_changed"] is False
    assert told["counts"]["label"] == 1


def test_exit_codes(versions: None, capsys) -> None:
    assert run(["label", "diff", "one", "one", "--exit-code"]) == 0
    assert "one -> one: nothing differs (6 rows in both)" in capsys.readouterr().out
    assert run(["label", "diff", "one", "two", "--exit-code", "--limit", "0"]) == 1
    assert "because" not in capsys.readouterr().out


def test_flat_tables_have_no_causes(versions: None, capsys) -> None:
    for name in ("one.parquet", "two.csv"):
        label(RULES.replace('"free"', '"love"') if "two" in name else RULES, name)
    capsys.readouterr()
    for pair in (("one.parquet", "two.csv"), ("one", "two.csv"), ("one.parquet", "two")):
        assert run(["label", "diff", *pair, "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        changed = [row for row in rows if row["change"] == "label"]
        assert [(row["row_id"], row["label_after"]) for row in changed] == [(4, "spam")]
        assert {row["cause"] for row in rows} == {"unknown"}


def test_results_of_a_project(prompt) -> None:
    Path("pipeline.py").write_text(PIPELINE)
    assert prompt("--quiet", "run").code == 0
    assert prompt("label", "diff", "labels").err.startswith(
        "error: labels~1: step 'labels' has 1 different results, expected at least 2"
    )
    assert prompt("--quiet", "run", "--set", "labels.word=love").code == 0
    for names in (["labels"], ["labels~1", "labels"]):
        told = prompt("label", "diff", *names, "--json").json
        assert {(row["row_id"], row["cause"], row["by"]) for row in told["rows"]} == {
            (0, "source changed", "k"),
            (2, "source changed", "k"),
        }
    assert "labels/2" in prompt("lineage", "labels/2").out
    assert prompt("label", "diff", "rows", "labels").code == 5
    assert prompt("label", "diff", "nothing", "labels").code == 2


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        (["nope", "one"], 2, "there is no file or folder 'nope', and no project here"),
        (["one"], 2, "expected two versions, found one: one"),
        (["data.csv", "one"], 5, "data.csv: expected labels with columns 'row_id' and 'label'"),
        (["empty", "one"], 5, "empty: expected a folder of labels, found one with nothing in it"),
        (["bad", "one"], 5, "bad"),
        (["classes", "one"], 5, "these labels have classes"),
    ],
)
def test_wrong_calls(versions: None, capsys, names: list[str], code: int, message: str) -> None:
    Path("empty").mkdir()
    label(RULES.replace('"ham", "spam"', '"ham", "spam", "eggs"'), "classes")
    label(RULES, "bad")
    (Path("bad") / "votes" / "votes.parquet").write_bytes(b"nonsense")
    capsys.readouterr()
    assert run(["label", "diff", *names]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_help_teaches(capsys) -> None:
    assert run(["label", "diff", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: gristmill label diff [OPTIONS] BEFORE [AFTER]\n")
    assert "gristmill label diff labels-1 labels-2" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_flat_table_has_probabilities_but_no_sources(versions: None, capsys) -> None:
    label(RULES, "one.csv")
    label(RULES, "one.parquet")
    capsys.readouterr()
    for flat in ("one.csv", "one.parquet"):
        assert run(["label", "diff", "one", flat, "--exit-code"]) == 0
        shown = capsys.readouterr().out
        assert "nothing differs" in shown
        assert "sources" not in shown
    assert run(["label", "diff", "one.csv", "two", "--exit-code"]) == 1
    shown = capsys.readouterr().out
    assert "note: a flat table holds no votes, so causes are not known: one.csv" in shown
    assert "stored scores" not in shown
