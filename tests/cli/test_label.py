from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gristmill.cli.main import run

RULES = """
from gristmill.label import keywords, labeling_function

CLASSES = ["ham", "spam"]
PRIZES = keywords("prizes", ["win", "prize", "free"], "spam")
MORE = [keywords("greets", ["hi", "love"], "ham")]


@labeling_function
def shouts(row):
    return "spam" if row.text.isupper() else None
"""
TEXTS = ["WIN a prize", "hi mum", "FREE NOW", "see you", "love you, hi", "WIN WIN"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    pl.DataFrame({"text": TEXTS}).write_csv("data.csv")
    return tmp_path


def write(folder: Path, body: str, name: str) -> str:
    (folder / f"{name}.py").write_text(body)
    return f"{name}.py"


def label(*arguments: str) -> int:
    return run(["--quiet", "label", *arguments])


def test_labels_are_written_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(write(folder, RULES, "rules_a"), "data.csv", "-o", "labels.parquet") == 0
    labels = pl.read_parquet("labels.parquet")
    assert labels.columns == ["row_id", "label", "label_name", "probs", "weight", "source"]
    assert labels["row_id"].to_list() == [0, 1, 2, 3, 4, 5]
    assert labels["label_name"].to_list() == ["spam", "ham", "spam", None, "ham", "spam"]
    assert labels["source"][3] == "none"
    shown = capsys.readouterr().out
    assert "6 rows: 83.3% covered" in shown
    assert all(name in shown for name in ("prizes", "greets", "shouts", "wrote labels.parquet"))


def test_json_for_machines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, RULES, "rules_b")
    assert label("rules_b.py", "data.csv", "-o", "labels.parquet", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"labels", "analysis", "model", "output"}
    assert told["labels"]["classes"] == {"ham": 2, "spam": 3}
    assert [each["source"] for each in told["analysis"]["sources"]] == [
        "prizes",
        "greets",
        "shouts",
    ]


def test_an_engine_gives_the_labels_of_one_process(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, RULES, "rules_on_engine")
    label("rules_on_engine.py", "data.csv", "-o", "here.parquet")
    assert (
        label("rules_on_engine.py", "data.csv", "-o", "there.parquet", "--engine", "local:1") == 0
    )
    assert pl.read_parquet("there.parquet").equals(pl.read_parquet("here.parquet"))
    capsys.readouterr()
    assert label("rules_on_engine.py", "data.csv", "-o", "x.parquet", "--engine", "cloud") == 2
    assert "unknown engine 'cloud'" in capsys.readouterr().err


def test_gold_and_classes_from_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, RULES.replace('CLASSES = ["ham", "spam"]', ""), "rules_c")
    pl.DataFrame({"row_id": [3, 0], "label": ["ham", "spam"]}).write_csv("gold.csv")
    arguments = ["rules_c.py", "data.csv", "-o", "l.parquet", "--gold", "gold.csv"]
    assert label(*arguments, "--classes", "ham, spam") == 0
    labels = pl.read_parquet("l.parquet")
    assert (labels["label_name"][3], labels["source"][3], labels["weight"][3]) == ("ham", "gold", 1)
    assert "gold rows: 2" in capsys.readouterr().out


def test_a_failing_function_is_counted_on_request(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = RULES + "\n\n@labeling_function\ndef broken(row):\n    return 1 // row.row_id\n"
    write(folder, broken, "rules_d")
    assert label("rules_d.py", "data.csv", "-o", "l.parquet") == 5
    error = capsys.readouterr().err
    assert "labelling function 'broken', row 0: raised ZeroDivisionError" in error
    assert not Path("l.parquet").exists()
    assert label("rules_d.py", "data.csv", "-o", "l.parquet", "--on-error", "abstain") == 0
    assert "note: failed on some rows: broken (1)" in capsys.readouterr().out


def test_a_second_time_the_cache_serves(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, RULES, "rules_e")
    arguments = ["label", "rules_e.py", "data.csv", "-o", "l.parquet", "--cache", "votes"]
    assert run(arguments) == 0
    first = Path("l.parquet").read_bytes()
    capsys.readouterr()
    assert run(arguments) == 0
    assert "0 of 3 columns recomputed" in capsys.readouterr().err
    assert Path("l.parquet").read_bytes() == first


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("x = 1\n", 5, "there are no labelling functions in this file"),
        ("def f(:\n    pass\n", 2, "rules_bad.py:1"),
        ("x = 1\ny = 1 / 0\n", 2, "rules_bad.py:2: ZeroDivisionError: division by zero"),
        (RULES.replace("CLASSES", "KINDS"), 5, "the classes are not named"),
        (RULES.replace('"ham", "spam"]', '"spam"]'), 5, "expected at least two classes, found 1"),
        (
            RULES.replace('"spam")', '"eggs")'),
            5,
            "function 'prizes', row 0: voted 'eggs'; expected",
        ),
        (
            'from gristmill.label import keywords\nK = keywords("k", ["zzz"], 1)\n'
            'CLASSES = ["a", "b"]\n',
            5,
            "no labelling function votes on any of the 6 rows",
        ),
    ],
)
def test_mistakes_in_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str], body: str, code: int, message: str
) -> None:
    write(folder, body, "rules_bad")
    assert label("rules_bad.py", "data.csv", "-o", "l.parquet") == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not Path("l.parquet").exists()


def test_files_that_are_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label("nope.py", "data.csv", "-o", "l.parquet") == 2
    assert "there is no file nope.py" in capsys.readouterr().err
    write(folder, RULES, "rules_f")
    assert label("rules_f.py", "nope.csv", "-o", "l.parquet") != 0
    assert "nope.csv" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["label", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Exit codes:" in shown
    assert "gristmill label rules.py messages.csv -o labels.parquet" in shown


def test_functions_that_all_fail_are_named(folder: Path, capsys) -> None:
    body = """
from gristmill.label import labeling_function

CLASSES = ["ham", "spam"]


@labeling_function
def broken(row):
    return row.no_such_column
"""
    write(folder, body, "rules_f")
    assert label("rules_f.py", "data.csv", "-o", "l.csv", "--on-error", "abstain") == 5
    error = capsys.readouterr().err
    assert "no labelling function votes on any of the 6 rows of data.csv" in error
    assert "rows on which functions failed: broken (6)" in error
    assert "fix: leave --on-error abstain out to see why" in error


def test_annotators_who_differ_are_said(folder: Path, capsys) -> None:
    write(folder, RULES, "rules_g")
    gold = {"row_id": [0, 0, 1], "label": ["ham", "spam", "ham"], "annotator": ["a", "b", "a"]}
    pl.DataFrame(gold).write_csv("gold.csv")
    assert label("rules_g.py", "data.csv", "-o", "l.csv", "--gold", "gold.csv") == 0
    shown = capsys.readouterr().out
    assert "gold rows: 1" in shown
    assert "annotators differ: 1 (0); 0 count as their likeliest class, 1 are a tie" in shown
