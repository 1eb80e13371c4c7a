"""What production told, as gold that the next training sees."""

import numpy as np
import polars as pl
import pytest

from gristmill import label
from gristmill.core.errors import DataError, LabelError, StoreError, UsageError
from gristmill.core.process_lock import ProcessLock
from gristmill.label.gold import read_gold
from gristmill.pipeline.feedback_gold import Gathered, gather_feedback, gathered_gold
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.truth_log import Telling, TruthLog

CLASSES = ("ham", "spam")


@pytest.fixture
def served(tmp_path):
    """The folder of a model whose predictions are kept: of `win`, `lunch` and `call`."""
    folder = tmp_path / "served" / "spam"
    with PredictionLog(folder, classes=CLASSES) as log:
        for number, text in enumerate(["win", "lunch", "call"]):
            name = log.name("abcdef")
            rows = Rows({"text": [text], "chars": np.array([len(text)]), "t": np.zeros((1, 2))})
            log.note(name, "abcdef", rows, Rows({"label": ["ham"]}), [f"{number}"])
    return folder


def tell(served, key, truth, who="", correction=False):
    with TruthLog(served) as truths:
        (status,) = truths.tell([Telling(key, truth, who, correction)])
    return status


def test_truths_become_rows_and_answers_once(served, tmp_path):
    into = tmp_path / "feedback"
    assert gather_feedback(served, into) == Gathered(0, 0)
    tell(served, "0", "spam")
    tell(served, "1", "ham", "anna", correction=True)
    assert gather_feedback(served, into) == Gathered(2, 2)
    before = [path.read_bytes() for path in sorted(into.iterdir())]
    assert gather_feedback(served, into) == Gathered(0, 0)
    assert [path.read_bytes() for path in sorted(into.iterdir())] == before
    found = gathered_gold(into)
    assert found.rows.select("text", "chars").rows() == [("win", 3), ("lunch", 5)]
    assert found.gold.select("label", "annotator").rows() == [
        ("spam", "production"),
        ("ham", "anna"),
    ]
    assert found.gold["row_id"].to_list() == found.rows["row_id"].to_list()
    answers = label.Answers.load(into / "answers.jsonl").frame
    assert answers.select("suggested", "shown", "note").rows() == [
        ("ham", "abcdef", None),
        ("ham", "abcdef", "correction"),
    ]


def test_what_was_gathered_stays_when_the_server_has_dropped_it(served, tmp_path):
    tell(served, "0", "spam")
    gather_feedback(served, tmp_path / "feedback")
    for path in served.glob("*/*/*.log"):
        path.unlink()
    assert gather_feedback(served, tmp_path / "feedback") == Gathered(0, 0)
    assert gathered_gold(tmp_path / "feedback").rows["text"].to_list() == ["win"]


def test_what_somebody_says_later_replaces_what_they_said(served, tmp_path):
    into = tmp_path / "feedback"
    tell(served, "0", "spam", "anna")
    gather_feedback(served, into)
    tell(served, "0", "ham", "anna")
    tell(served, "0", "spam", "ben")
    assert gather_feedback(served, into) == Gathered(0, 2)
    gold = gathered_gold(into).gold
    assert sorted(gold.select("annotator", "label").rows()) == [("anna", "ham"), ("ben", "spam")]


def test_rows_are_added_to_a_table_whose_ids_are_numbers(served, tmp_path):
    table = pl.DataFrame({"row_id": [0, 1], "text": ["a", "b"], "source": ["file", "file"]})
    gold = pl.DataFrame({"row_id": [1], "label": ["ham"], "drawn": ["random"]})
    into = tmp_path / "feedback"
    assert [each.height for each in gathered_gold(into).added_to(table, gold)] == [2, 1]
    tell(served, "2", "spam")
    gather_feedback(served, into)
    rows, told = gathered_gold(into).added_to(table, gold)
    assert rows.schema == table.schema
    assert rows.rows()[2][1:] == ("call", None)
    assert told.rows()[0] == (1, "ham", "random", None)
    assert told.rows()[1] == (rows["row_id"][2], "spam", None, "production")
    assert rows["row_id"][2] > 1


def test_by_key_truths_are_of_rows_that_the_table_has(served, tmp_path):
    table = pl.DataFrame({"row_id": [0, 1], "text": ["win", "lunch"]})
    tell(served, "1", "ham")
    tell(served, "2", "spam")
    gather_feedback(served, tmp_path / "feedback", source="shop", by_key=True)
    rows, gold = gathered_gold(tmp_path / "feedback").added_to(table)
    assert rows["row_id"].to_list() == [0, 1, 2]
    assert gold.rows() == [(1, "ham", "shop"), (2, "spam", "shop")]


@label.labeling_function
def silent(_):
    """Says nothing."""


def test_the_label_stage_settles_what_several_say(served, tmp_path):
    for who, truth in (("anna", "spam"), ("ben", "spam"), ("cleo", "ham")):
        tell(served, "0", truth, who)
    gather_feedback(served, tmp_path / "feedback")
    found = gathered_gold(tmp_path / "feedback")
    votes = label.apply([silent], found.rows, classes=CLASSES)
    settled = read_gold(found.gold, votes)
    assert settled.annotators == ("anna", "ben", "cleo")
    assert settled.codes.tolist() == [1]
    assert settled.disputed.tolist() == [0]


PIPELINE = """
from pathlib import Path
from gristmill import step
from gristmill.pipeline import gathered_gold

@step
def gold(folder: Path = Path("feedback")) -> int:
    return gathered_gold(folder).gold.height
"""


def test_a_step_runs_again_exactly_when_there_is_a_new_truth(served, user, tmp_path, monkeypatch):
    monkeypatch.chdir(user.root)
    project = user.write(pipeline=PIPELINE)

    def again():
        gather_feedback(served, user.root / "feedback")
        return project.run().executions["gold"].status

    statuses = [again(), again()]
    tell(served, "0", "spam")
    statuses += [again(), again()]
    tell(served, "0", "ham", "anna")
    statuses += [again()]
    assert statuses == ["done", "cached", "done", "cached", "done"]


def test_mistakes_are_told(served, tmp_path):
    into = tmp_path / "feedback"
    with pytest.raises(UsageError, match="expected a name for the source"):
        gather_feedback(served, into, source="")
    with pytest.raises(UsageError, match="no predictions were kept here"):
        gather_feedback(tmp_path, into)
    tell(served, "0", "spam")
    gather_feedback(served, into)
    with pytest.raises(DataError, match="expected a table with a column row_id"):
        gathered_gold(into).added_to(pl.DataFrame({"text": ["a"]}))
    with pytest.raises(DataError, match="rows from production do not fit the table"):
        gathered_gold(into).added_to(pl.DataFrame({"row_id": [1], "text": [1.5]}))
    with pytest.raises(DataError, match=r"column of the table \(message\), found text"):
        gathered_gold(into).added_to(pl.DataFrame({"row_id": [1], "message": ["a"]}))
    somebody = pytest.raises(StoreError, match="feedback is being gathered by process")
    with ProcessLock(tmp_path / ".feedback.lock"), somebody:
        gather_feedback(served, into)
    (into / "rows.jsonl").write_text("{\n")
    with pytest.raises(DataError, match="this is no row from production"):
        gathered_gold(into)
    (into / "rows.jsonl").write_text('{"row_id": "half')
    (into / "answers.jsonl").write_text("{}\n")
    with pytest.raises(LabelError, match="this is no answer"):
        gathered_gold(into)
