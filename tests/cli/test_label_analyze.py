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


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULES)
    pl.DataFrame({"text": ["win", "hi", "hi, win", "so"]}).write_csv("data.csv")
    pl.DataFrame({"row_id": [0, 2], "label": ["spam", "ham"]}).write_csv("gold.csv")
    return tmp_path


def test_the_table_and_no_file(folder: Path, capsys) -> None:
    before = sorted(folder.iterdir())
    assert run(["-q", "label", "analyze", "rules.py", "data.csv", "--gold", "gold.csv"]) == 0
    shown = capsys.readouterr().out
    assert "4 rows: 75.0% covered" in shown
    assert "0.50 [0.09, 0.91]" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert [path for path in sorted(folder.iterdir()) if path.suffix] == before


def test_stored_labels(capsys) -> None:
    assert run(["-q", "label", "rules.py", "data.csv", "-o", "out"]) == 0
    capsys.readouterr()
    assert run(["label", "analyze", "out", "--gold", "gold.csv", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["gold_rows"]) == (4, 2)
    assert run(["label", "analyze", "rules.py", "data.csv", "--gold", "gold.csv", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [each.pop("estimated") is None for each in told["sources"]] == [False, False]
    assert [each.pop("estimated") for each in plain["sources"]] == [None, None]
    assert (told.pop("judge"), plain.pop("judge")) == ("model", "gold")
    assert told == plain


def test_answers_of_a_review_as_gold(capsys, monkeypatch) -> None:
    answer = '{"row_id":0,"label":"spam","annotator":"ann","time":"t","content":"00"}\n'
    Path("answers.jsonl").write_text(answer)
    assert run(["-q", "label", "rules.py", "data.csv", "-o", "out"]) == 0
    for what, known in ((["out"], 1), (["out", "data.csv"], 0), (["rules.py", "data.csv"], 0)):
        capsys.readouterr()
        arguments = ["-q", "label", "analyze", *what, "--gold", "answers.jsonl", "--json"]
        assert run(arguments) == 0
        assert json.loads(capsys.readouterr().out)["gold_rows"] == known


def test_a_page_for_those_who_label(capsys) -> None:
    arguments = ["-q", "label", "analyze", "rules.py", "data.csv", "--gold", "gold.csv"]
    assert run([*arguments, "--page", "page.html"]) == 0
    assert "prizes" in Path("page.html").read_text()
    assert run(["-q", "label", "rules.py", "data.csv", "-o", "out", "--page", "more.html"]) == 0
    assert "wrote out and more.html" in capsys.readouterr().out
    assert Path("more.html").read_text().startswith("<!doctype html>")
    assert run(["label", "analyze", "out", "--page", "page.html"]) == 2
    assert "expected the rows to show on the page" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rules.py"], 2, "expected the rows to apply rules.py to"),
        (["nope.py", "data.csv"], 2, "there is no file nope.py"),
        (
            ["."],
            5,
            "a folder of labels, found one with data.csv, gold.csv, rules.py in it",
        ),
    ],
)
def test_wrong_calls(capsys, arguments: list[str], code: int, message: str) -> None:
    assert run(["label", "analyze", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_help_teaches(capsys) -> None:
    assert run(["label", "analyze", "-h"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: gristmill label analyze [OPTIONS] WHAT [DATA]\n")
    assert max(map(len, shown.splitlines())) <= 80


def test_options_about_applying_are_refused_for_stored_votes(capsys) -> None:
    assert run(["-q", "label", "rules.py", "data.csv", "-o", "out"]) == 0
    assert run(["label", "analyze", "out", "--classes", "ham,spam", "--on-error", "abstain"]) == 2
    error = capsys.readouterr().err
    assert "out: --classes, --on-error would be about applying functions" in error


def test_the_page_of_stored_labels_has_what_the_model_estimates(capsys) -> None:
    assert run(["-q", "label", "rules.py", "data.csv", "-o", "out"]) == 0
    assert run(["label", "analyze", "out", "data.csv", "--page", "page.html"]) == 0
    assert "estimated" in Path("page.html").read_text()


def test_a_page_that_cannot_be_written(capsys) -> None:
    Path("file").touch()
    assert run(["label", "analyze", "rules.py", "data.csv", "--page", "file/page.html"]) == 5
    error = capsys.readouterr().err
    assert "file/page.html: the page cannot be written" in error
    assert "fix: write it to a folder" in error


def test_narrow_tables_say_what_they_leave_out(capsys) -> None:
    names = [f"a_name_that_is_rather_long_{number}" for number in range(2)]
    body = "".join(f'F{n} = keywords("{name}", ["win"], "spam")\n' for n, name in enumerate(names))
    rules = f'from gristmill.label import keywords\nCLASSES = ["ham", "spam"]\n{body}'
    Path("long.py").write_text(rules)
    arguments = ["-q", "label", "analyze", "long.py", "data.csv", "--gold", "gold.csv"]
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    assert "a_name_that_is_rather_l…" in shown
    assert "no room for overlaps, redundant, correct: widen the terminal" in shown
