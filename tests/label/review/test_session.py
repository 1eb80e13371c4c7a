from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label import Labels
from gristmill.label.review.answers import Answers
from gristmill.label.review.queue import review_queue
from gristmill.label.review.session import Session, check_annotator
from gristmill.label.versions.content import content_hashes

Open = Callable[..., Session]


def test_a_question_shows_row_votes_and_probabilities(open_session: Open, labels: Labels) -> None:
    question = open_session().question
    assert question is not None
    place = labels.votes.position(question.row_id)
    assert set(question.fields) == {"text", "length"}
    assert question.votes == (("prizes", "spam"), ("greets", "ham"))
    assert sum(question.probs.values()) == pytest.approx(1)
    assert list(question.probs.values()) == sorted(question.probs.values(), reverse=True)
    code = labels.table["label"][place]
    assert question.suggested == (labels.classes[code] if code >= 0 else None)


def test_answers_are_written_one_by_one_with_what_was_shown(
    open_session: Open, labels: Labels, rows: pl.DataFrame
) -> None:
    session = open_session()
    first = session.question
    assert first is not None
    session.answer("spam", "sure")
    (event,) = Answers.load(session.file.path).events
    assert (event.row_id, event.label, event.annotator) == (first.row_id, "spam", "ann")
    assert (event.note, event.drawn) == ("sure", "worth")
    assert event.shown == fingerprint(labels)
    assert event.suggested == first.suggested
    assert event.content == dict(content_hashes(rows).iter_rows())[first.row_id]
    assert event.time.endswith("+00:00")
    assert session.position == 1
    assert session.question is not None
    assert session.question.row_id != first.row_id


def test_skips_are_kept_and_undo_takes_back(open_session: Open) -> None:
    session = open_session()
    assert not session.undo()
    session.answer("ham")
    session.skip("hm")
    assert (session.answered, session.skipped, session.position) == (1, 1, 2)
    assert Answers.load(session.file.path).skipped["note"].to_list() == ["hm"]
    assert session.undo()
    assert session.undo()
    assert (session.answered, session.skipped, session.agreed, session.position) == (0, 0, 0, 0)
    known = Answers.load(session.file.path)
    assert len(known.events) == 4
    assert len(known) == len(known.skipped) == 0


def test_the_end(open_session: Open) -> None:
    session = open_session(k=1)
    session.answer("ham")
    assert session.question is None
    with pytest.raises(LabelError, match="every row of this session is answered"):
        session.skip()


def test_agreement_with_the_labels_is_counted(open_session: Open) -> None:
    session = open_session(k=6)
    suggested = []
    while (question := session.question) is not None:
        suggested.append(question.suggested)
        session.answer("ham")
    assert session.agreed == suggested.count("ham")
    assert session.suggestions == len(suggested) - suggested.count(None)


def test_blind(open_session: Open) -> None:
    session = open_session(blind=True)
    question = session.question
    assert question is not None
    assert (question.votes, question.probs, question.suggested, question.why) == ((), {}, None, "")
    session.answer("ham")
    assert Answers.load(session.file.path).events[0].suggested is None


def test_a_class_that_is_none(open_session: Open) -> None:
    session = open_session()
    with pytest.raises(LabelError, match=r"there is no class 'eggs'\n  fix: choose one of ham, sp"):
        session.answer("eggs")
    assert not session.file.path.exists()


def test_a_table_that_lacks_rows(labels: Labels, rows: pl.DataFrame, open_session: Open) -> None:
    file = open_session().file
    queue = review_queue(labels.votes, labels, k=6)
    for table in (rows.head(2), rows.with_columns(pl.col("row_id").cast(pl.String))):
        with pytest.raises(LabelError, match=r"^row \d+ is not among the \d rows of the table"):
            Session(labels, table, queue, file, "ann")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_names_of_annotators(name: str) -> None:
    assert check_annotator(" Ann Lee ") == "Ann Lee"
    with pytest.raises(LabelError, match="expected the name of an annotator"):
        check_annotator(name)
