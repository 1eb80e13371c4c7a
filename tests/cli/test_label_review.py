from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from gristmill.cli.main import run
from gristmill.label.review.answers import Answers

RULES = """
from gristmill.label import keywords

CLASSES = ["ham", "spam"]
PRIZES = keywords("prizes", ["win", "free"], "spam")
GREETS = keywords("greets", ["hi", "love"], "ham")
"""
TEXTS = ["win a prize", "hi mum", "hi, free", "see you", "love you", "win, love"]
COMMAND = [sys.executable, "-m", "gristmill", "--quiet", "label", "review"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULES)
    pl.DataFrame({"text": TEXTS}).write_csv("data.csv")
    return tmp_path


@pytest.fixture
def review(monkeypatch: pytest.MonkeyPatch):
    """Run a review whose keys come from a pipe, one in a line."""

    def ask(*arguments: str, keys: str = "") -> int:
        reading, writing = os.pipe()
        os.write(writing, keys.encode())
        os.close(writing)
        with os.fdopen(reading) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            return run(["--quiet", "label", "review", "rules.py", "data.csv", *arguments])

    return ask


class Terminal:
    """A program on a pseudo-terminal of 80 columns."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.environ |= {"COLUMNS": "80", "LINES": "30", "TERM": "xterm"}
            os.execv(sys.executable, [*COMMAND, "rules.py", "data.csv", *arguments])
        self.shown = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def wait_for(self, text: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.handle], [], [], 0.1)[0]:
                self.shown += self._decoder.decode(os.read(self.handle, 65536))
        self.shown = self.shown.split(text, 1)[1]

    def type(self, keys: str) -> None:
        os.write(self.handle, keys.encode())

    def close(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        os.close(self.handle)
        return os.waitstatus_to_exitcode(status)


def test_keys_answer_and_the_answers_are_gold(review, capsys) -> None:
    keys = "1\n2\nu\n\ns\nn\nodd one\n1\n/\nsp\nx\n?\nq\n"
    assert review("--annotator", "ann", "--random", "0", keys=keys) == 0
    shown = capsys.readouterr().out
    assert "[1 of 6]" in shown
    assert "taken back" in shown
    assert "no such key; ? for help" in shown
    assert "u  undo: take your last answer back" in shown
    assert "3 answered, 1 skipped, 2 left; answers of ann are in answers.jsonl" in shown
    assert "next: gristmill label rules.py data.csv -o labels --gold answers.jsonl" in shown
    assert max(map(len, shown.splitlines())) <= 80
    known = Answers.load("answers.jsonl")
    assert known.gold["label"].to_list() == ["ham", "ham", "spam"]
    assert known.frame["note"].to_list() == [None, "odd one", None]
    label = ["label", "rules.py", "data.csv", "-o", "out.parquet", "--gold", "answers.jsonl"]
    assert run(["--quiet", *label]) == 0
    made = pl.read_parquet("out.parquet").filter(pl.col("source") == "gold")
    gold = dict(known.gold.select("row_id", "label").iter_rows())
    assert dict(made.select("row_id", "label_name").iter_rows()) == gold


def test_a_second_session_goes_on(review, capsys) -> None:
    assert review("--annotator", "ann", keys="1\n1\ns\nq\n") == 0
    capsys.readouterr()
    assert review("--annotator", "ann", "--json") == 0
    left = {row["row_id"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert left == set(range(6)) - set(Answers.load("answers.jsonl").seen_by("ann"))
    assert review("--annotator", "bob", "--again", "--json") == 0
    again = [row["row_id"] for row in json.loads(capsys.readouterr().out)["rows"]]
    assert sorted(again) == sorted(Answers.load("answers.jsonl").gold["row_id"])


def test_nothing_left_to_ask(review, capsys) -> None:
    assert review("--annotator", "ann", keys="1\n2\n" * 3) == 0
    assert "6 answered; " in capsys.readouterr().out
    assert review("--annotator", "ann") == 0
    assert "there is nothing to ask about" in capsys.readouterr().out


def test_the_login_name_is_the_default(review, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "carol")
    assert review(keys="1\nq\n") == 0
    assert Answers.load("answers.jsonl").annotators == ("carol",)


def test_a_row_that_was_edited_since_is_no_gold(review, capsys) -> None:
    assert review("--annotator", "ann", "--random", "0", "-k", "1", keys="1\n") == 0
    row = Answers.load("answers.jsonl").gold["row_id"][0]
    edited = [text + "!" if place == row else text for place, text in enumerate(TEXTS)]
    pl.DataFrame({"text": edited}).write_csv("data.csv")
    capsys.readouterr()
    arguments = ["label", "rules.py", "data.csv", "-o", "l.parquet", "--gold", "answers.jsonl"]
    assert run(arguments) == 0
    assert "answers.jsonl: 1 answers left out" in capsys.readouterr().err
    assert "gold" not in pl.read_parquet("l.parquet")["source"]


def test_on_a_terminal_each_key_counts_at_once() -> None:
    terminal = Terminal("--annotator", "ann", "--random", "0")
    terminal.wait_for("[1 of 6]")
    terminal.type("2")
    terminal.wait_for("[2 of 6]")
    terminal.type("n")
    terminal.wait_for("note:")
    terminal.type("look\r")
    terminal.wait_for("note: look")
    terminal.type("1")
    terminal.wait_for("[3 of 6]")
    terminal.type("\x03")
    terminal.wait_for("2 answered, 4 left")
    assert terminal.close() == 0
    frame = Answers.load("answers.jsonl").frame
    assert frame["label"].to_list() == ["spam", "ham"]
    assert frame["note"].to_list() == [None, "look"]


def test_a_killed_review_has_lost_nothing() -> None:
    terminal = Terminal("--annotator", "ann")
    terminal.wait_for("[1 of 6]")
    terminal.type("2")
    terminal.wait_for("[2 of 6]")
    os.kill(terminal.pid, signal.SIGKILL)
    assert terminal.close() == -signal.SIGKILL
    assert len(Answers.load("answers.jsonl")) == 1


def test_two_people_at_once_in_one_file() -> None:
    terminals = [Terminal("--annotator", name, "--random", "0") for name in ("ann", "bob")]
    for each in terminals:
        each.wait_for("[1 of 6]")
    for place in range(2, 5):
        for each in terminals:
            each.type("1")
        for each in terminals:
            each.wait_for(f"[{place} of 6]")
    for each in terminals:
        each.type("q")
        each.wait_for("3 answered")
        assert each.close() == 0
    assert len(Answers.load("answers.jsonl").events) == 6


def test_in_a_browser_until_ctrl_c() -> None:
    command = [*COMMAND, "rules.py", "data.csv", "--web", "--annotator", "ann"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        found = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/\S+/)\n", program.stdout.readline())
        assert found is not None
        body = json.dumps({"position": 0, "label": "ham"}).encode()
        request = urllib.request.Request(found[1] + "answer", body)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["position"] == 1
        program.send_signal(signal.SIGINT)
        shown = program.stdout.read()
    assert program.returncode == 0
    assert "1 answered, 5 left" in shown
    assert len(Answers.load("answers.jsonl")) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--annotator", " "], 5, "expected the name of an annotator, found ' '"),
        (["-k", "0"], 2, "0 is not in the range x>=1"),
        (["--random", "2"], 2, "2.0 is not in the range 0<=x<=1"),
        (["--random", "nan"], 5, "random from 0 to 1, found 50 and nan"),
        (["--answers", "."], 2, "is a directory"),
        (["--answers", "data.csv/answers.jsonl"], 2, "answers cannot be written there"),
        (["--web", "--port", "99999"], 2, "99999 is not in the range 0<=x<=65535"),
        (["--gold", "nope.csv"], 5, "nope.csv"),
    ],
)
def test_wrong_calls(review, capsys, arguments: list[str], code: int, message: str) -> None:
    assert review(*arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("garbage\n", "answers.jsonl, line 1: this is no answer: JSON is malformed"),
        (
            '{"row_id":99,"label":"ham","annotator":"a","time":"t"}\n',
            "answers.jsonl: gold labels row 99, which is not among the 6 rows",
        ),
        (
            '{"row_id":1,"label":"eggs","annotator":"a","time":"t"}\n',
            "gold label 'eggs' is none of the classes 0 'ham', 1 'spam'",
        ),
        ('{"row_id":"x","label":"ham","annotator":"a","time":"t"}\n', "gold labels row 'x'"),
    ],
)
def test_answers_that_cannot_be_used(review, capsys, text: str, message: str) -> None:
    Path("answers.jsonl").write_text(text)
    assert review("--annotator", "ann", keys="1\n") == 5
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert Path("answers.jsonl").read_text() == text


def test_help_teaches(capsys) -> None:
    assert run(["label", "review", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: gristmill label review [OPTIONS] FUNCTIONS DATA\n")
    assert "gristmill label review rules.py messages.csv --web" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_gold_of_class_numbers_beside_answers(review, capsys) -> None:
    answer = '{"row_id":4,"label":"ham","annotator":"ann","time":"t","drawn":"worth"}\n'
    Path("answers.jsonl").write_text(answer)
    pl.DataFrame({"row_id": [0, 1], "label": [1, 0]}).write_csv("gold.csv")
    assert review("--gold", "gold.csv", "--json") == 0
    asked = {row["row_id"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert asked == {2, 3, 5}


def test_a_second_opinion_needs_a_first(review, capsys) -> None:
    assert review("--again") == 0
    assert "no row has an answer of somebody else" in capsys.readouterr().out


def test_nothing_is_said_of_answers_that_are_not_there(review, capsys) -> None:
    assert review("--annotator", "ann", keys="q\n") == 0
    assert "0 answered, 6 left\n" in capsys.readouterr().out
    assert not Path("answers.jsonl").exists()
