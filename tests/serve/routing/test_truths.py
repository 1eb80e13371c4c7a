"""`POST /v1/models/NAME/feedback`: one truth or many, told in words where nothing is kept."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from gristmill.core.errors import StoreError
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.truths import read_tellings, told_truths
from gristmill.serve.watch.truth_log import Telling


def answers(statuses, body, logs=()):
    """Return the answer where what is told becomes these statuses, and what was told."""
    told = []

    def tell(tellings):
        told.extend(tellings)
        return list(statuses)

    kept = SimpleNamespace(tell=tell, classes=("ham", "spam"))
    answer = asyncio.run(told_truths(kept, logs, msgspec.json.encode(body)))
    return msgspec.json.decode(answer), told


def refused(body, statuses=()):
    with pytest.raises(Refusal) as caught:
        answers(statuses, body)
    return caught.value.status, caught.value.code, caught.value.message


def test_one_piece_is_answered_by_itself():
    body = {"prediction_id": "p-0", "label": "spam", "who": "anna", "correction": True}
    answer, told = answers(["joined"], body)
    assert answer == {
        "prediction_id": "p-0",
        "status": "joined",
        "message": "it is kept with the prediction",
    }
    assert told == [Telling("p-0", "spam", "anna", True)]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("unknown", 404, "no such prediction is kept here"),
        ("expired", 404, "the prediction is too old"),
        ("repeated", 409, "told the same of this prediction already"),
        ("invalid", 422, "expected one of the classes ham, spam, found 'eggs'"),
    ],
)
def test_one_piece_of_which_nothing_is_kept_is_refused_in_words(status, code, words):
    found = refused({"prediction_id": "p-0", "label": "eggs"}, [status])
    assert found[:2] == (code, f"{status}_feedback")
    assert found[2].startswith("p-0: ")
    assert words in found[2]


def test_many_pieces_share_what_is_said_once():
    pieces = [
        {"prediction_id": "a", "label": "spam"},
        {"prediction_id": "b", "label": 2.5, "who": "ben", "correction": False},
    ]
    body = {"feedback": pieces, "who": "anna", "correction": True}
    answer, told = answers(["joined", "unknown"], body)
    assert told == [Telling("a", "spam", "anna", True), Telling("b", 2.5, "ben", False)]
    assert [each["status"] for each in answer["results"]] == ["joined", "unknown"]
    assert answer["counts"] == {"joined": 1, "unknown": 1}
    assert answers([], {"feedback": []})[0] == {"results": [], "counts": {}}


def test_a_policy_learns_from_what_was_joined():
    learnt = []
    log = SimpleNamespace(
        knows=lambda name: name.startswith("p"),
        feedback=lambda name, truth: learnt.append((name, truth)),
    )
    pieces = [{"prediction_id": name, "label": "spam"} for name in ("p1", "key", "p2")]
    answers(["joined", "joined", "repeated"], {"feedback": pieces}, [log])
    assert learnt == [("p1", "spam")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"prediction_id": "a"},
        {"prediction_id": "a", "label": None},
        {"prediction_id": "a", "label": "x", "loss": 1},
        {"feedback": [{"label": "x"}]},
        {"feedback": [], "nobody": 1},
    ],
)
def test_another_form_is_refused(body):
    assert refused(body)[:2] == (422, "invalid_feedback")


def test_a_label_that_is_null_is_refused_in_words():
    pieces = [{"prediction_id": "a", "label": "x"}, {"prediction_id": "b", "label": None}]
    for body in (pieces[1], {"feedback": pieces}):
        message = "expected the true label of prediction 'b', found null"
        assert refused(body) == (422, "invalid_feedback", message)


def test_what_is_no_json_or_too_much_is_refused():
    with pytest.raises(Refusal, match="the body is not JSON"):
        read_tellings(b"{")
    many = msgspec.json.encode({"feedback": [{"prediction_id": "a", "label": 1}] * 10_001})
    with pytest.raises(Refusal, match="at most 10000 pieces") as caught:
        read_tellings(many)
    assert caught.value.status == 413


def test_a_full_disk_is_a_reason_to_come_back():
    def tell(_):
        raise StoreError("the disk is full")

    body = msgspec.json.encode({"prediction_id": "a", "label": 1})
    with pytest.raises(Refusal, match="the disk is full") as caught:
        asyncio.run(told_truths(SimpleNamespace(tell=tell, classes=()), [], body))
    assert (caught.value.status, caught.value.headers) == (503, (("Retry-After", "10"),))
