from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label import LabelModel, Votes
from gristmill.label.review.answers import Answer, AnswerFile, Answers, is_answers
from gristmill.label.versions.content import content_hashes

WRITER = """
import sys
from gristmill.label.review.answers import Answer, AnswerFile, now
file = AnswerFile(sys.argv[1])
number = 0
while number < int(sys.argv[3]):
    file.add(Answer(row_id=number, label="ham", annotator=sys.argv[2], time=now()))
    print(number, flush=True)
    number += 1
"""


def answer(row_id: int | str, label: str | None = "ham", who: str = "ann", **more: str) -> Answer:
    return Answer(row_id=row_id, label=label, annotator=who, time="2030-01-01T00:00:00Z", **more)


def written(path: Path, *answers: Answer) -> Answers:
    file = AnswerFile(path)
    for each in answers:
        file.add(each)
    return Answers.load(path)


def start(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_answers_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    known = written(
        path,
        answer(3, note="sûr\n?"),
        answer(5, "spam", drawn="random"),
        answer(3, "spam", "bob"),
    )
    assert len(known) == 3
    assert known.gold.rows() == [
        (3, "ham", "ann", None), (5, "spam", "ann", "random"), (3, "spam", "bob", None),
    ]  # fmt: skip
    assert known.frame["note"].to_list() == ["sûr\n?", None, None]
    assert known.annotators == ("ann", "bob")
    assert is_answers(path)
    assert is_answers(path.parent)


def test_the_last_word_of_an_annotator_counts(tmp_path: Path) -> None:
    known = written(
        tmp_path / "a.jsonl",
        answer(1, "ham"),
        answer(2, "ham"),
        answer(1, "spam"),
        answer(2, None, action="undo"),
        answer(3, None, action="skip"),
        answer(4, None, action="undo"),
    )
    assert known.gold.rows() == [(1, "spam", "ann", None)]
    assert known.skipped["row_id"].to_list() == [3]
    assert known.seen_by("ann").to_list() == [1, 3]
    assert known.seen_by("bob").to_list() == []


def test_answers_are_gold(tmp_path: Path) -> None:
    known = written(tmp_path / "a.jsonl", answer(2, "spam"), answer(0, None, action="skip"))
    votes = Votes.from_matrix([[0], [0], [0]], classes=["ham", "spam"])
    labels = LabelModel(votes.classes).fit(votes, known.gold).predict(votes)
    assert labels.table["source"].to_list() == ["model", "model", "gold"]
    assert labels.table["label"][2] == 1


def test_a_folder_of_files(tmp_path: Path) -> None:
    written(tmp_path / "ann.jsonl", answer("r1"))
    written(tmp_path / "bob.jsonl", answer("r1", "spam", "bob"))
    known = Answers.load(tmp_path)
    assert known.gold.rows() == [("r1", "ham", "ann", None), ("r1", "spam", "bob", None)]
    assert known.agreement().rows == 1


def test_what_a_killed_writer_left_is_no_answer_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    written(path, answer(1))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"row_id":2,"label":"sp')
    assert Answers.load(path).gold["row_id"].to_list() == [1]
    known = written(path, answer(3))
    assert known.gold["row_id"].to_list() == [1, 3]
    assert path.read_bytes().startswith(whole + b'{"row_id":3,')


def test_a_long_half_line_goes_away_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 200_000)
    assert Answers.load(path).events == ()
    assert len(written(path, answer(3))) == 1


def test_a_failed_write_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    written(path, answer(1))
    before = path.read_bytes()

    def full(handle: int, data: bytes) -> int:
        real(handle, data[:5])
        raise OSError(28, "No space left on device")

    real = os.write
    monkeypatch.setattr("gristmill.label.review.answers.os.write", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        AnswerFile(path).add(answer(2))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before


def test_two_writers_of_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    writers = [start(path, name, 60) for name in ("ann", "bob")]
    assert [each.wait(60) for each in writers] == [0, 0]
    gold = Answers.load(path).gold
    for name in ("ann", "bob"):
        mine = gold.filter(pl.col("annotator") == name)
        assert mine["row_id"].to_list() == list(range(60))


def test_a_killed_writer_has_lost_nothing_that_it_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    writer = start(path, "ann", 1_000_000)
    assert writer.stdout is not None
    for _ in range(20):
        confirmed = int(writer.stdout.readline())
    time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    confirmed = max([confirmed, *map(int, writer.stdout.read().split()[:-1])])
    writer.wait()
    writer.stdout.close()
    rows = Answers.load(path).gold["row_id"].to_list()
    assert rows == list(range(len(rows)))
    assert len(rows) > confirmed
    assert len(written(path, answer(-1))) == len(rows) + 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "JSON is malformed: "),
        ('{"row_id":1}', "Object missing required field `label`"),
        ('{"row_id":1.5,"label":"a","annotator":"b","time":"t"}', "Expected `int | str`"),
        ('{"row_id":1,"label":"a","annotator":"b","time":"t","x":1}', "unknown field `x`"),
        ('{"row_id":1,"label":"a","annotator":"b","time":"t","action":"eat"}', "Invalid enum"),
    ],
)
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    written(path, answer(1))
    path.write_text(path.read_text() + line + "\n" + path.read_text())
    with pytest.raises(LabelError) as caught:
        Answers.load(path)
    assert f"{path}, line 2: this is no answer: " in str(caught.value)
    assert problem in caught.value.message
    assert caught.value.fix == "correct or delete that line; the others are whole"


def test_answers_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a.jsonl"):
        with pytest.raises(LabelError, match="there are no answers"):
            Answers.load(path)
        assert not is_answers(path)


def test_other_files_are_no_answers(tmp_path: Path) -> None:
    table = tmp_path / "gold.jsonl"
    table.write_text('{"row_id": 1, "label": "ham"}\n')
    assert not is_answers(table)
    text = tmp_path / "gold.csv"
    text.write_bytes(msgspec.json.encode(answer(1)))
    assert not is_answers(text)


def test_row_ids_of_two_kinds_are_refused(tmp_path: Path) -> None:
    known = written(tmp_path / "a.jsonl", answer(1), answer("one"))
    with pytest.raises(LabelError, match="some row ids are numbers and some are texts"):
        _ = known.gold


def test_answers_about_rows_that_read_otherwise_now(tmp_path: Path) -> None:
    before = pl.DataFrame({"row_id": [1, 2], "text": ["a", "b"]})
    hashes = dict(content_hashes(before).iter_rows())
    known = written(
        tmp_path / "a.jsonl", *(answer(row, content=mark) for row, mark in hashes.items()),
        answer(1, who="bob"),
    )  # fmt: skip
    assert known.stale(content_hashes(before)).height == 0
    after = before.with_columns(text=pl.Series(["A", "b"]))
    stale = known.stale(content_hashes(after))
    assert stale.select("row_id", "annotator").rows() == [(1, "ann")]
    other = after.with_columns(pl.col("row_id").cast(pl.String))
    assert known.stale(content_hashes(other)).height == 0
