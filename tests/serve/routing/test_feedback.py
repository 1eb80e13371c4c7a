import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import StoreError
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.feedback import feedback, read_feedback
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.kinds import policy_named


@pytest.fixture
def logs(tmp_path):
    opened = [
        FeedbackLog(tmp_path / name, policy_named("thompson", 2), ["a", "b"]) for name in "xy"
    ]
    yield opened
    for log in opened:
        log.close()


def predicted(log):
    choice = log.learner.choose(0.0)
    return log.predicted(choice, [["spam"], []], rows=1, request="r", model="m").name + "-0"


def sent(logs, *pieces):
    return msgspec.json.decode(feedback(logs, msgspec.json.encode({"feedback": list(pieces)})))


def test_each_piece_goes_to_the_log_that_knows_it(logs):
    names = [predicted(log) for log in logs]
    found = sent(
        logs,
        {"prediction_id": names[1], "label": "ham"},
        {"prediction_id": names[0], "loss": 0.25},
        {"prediction_id": names[0], "loss": 0.25},
        {"prediction_id": "p-of-nobody", "loss": 0.0},
        {"prediction_id": names[1], "loss": 7.0},
    )
    assert [each["status"] for each in found["results"]] == [
        "joined", "joined", "repeated", "unknown", "invalid",
    ]  # fmt: skip
    assert found["counts"] == {"joined": 2, "repeated": 1, "unknown": 1, "invalid": 1}
    assert found["results"][4]["message"] == "expected a loss in [0, 1], found 7.0"
    assert found["results"][2]["message"].startswith("this prediction had its feedback already")
    assert [log.learner.state().loss[0] for log in logs] == [0.25, 1.0]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "the body is not JSON: Input data was truncated"),
        (b"\xff", 400, "the body is not JSON"),
        (b"[" * 100_000, 422, "expected a prediction_id with loss or label, or a list of them"),
        (b"{}", 422, "expected the key 'prediction_id', found none"),
        (
            b'{"feedback": [{"prediction_id": 3}]}',
            422,
            "expected a text, found a whole number",
        ),
        (
            b'{"feedback": [{"prediction_id": "p", "label": ["a"]}]}',
            422,
            "feedback[0].label: expected true/false, a number, a text or null, found a list",
        ),
        (
            b'{"feedback": [{"prediction_id": "p", "los": 0}]}',
            422,
            "unknown key 'los'",
        ),
    ],
)
def test_another_body_is_refused(logs, body, status, message):
    with pytest.raises(Refusal) as caught:
        feedback(logs, body)
    assert caught.value.status == status
    assert message in caught.value.message


def test_a_piece_alone_is_answered_by_its_status(logs):
    name = predicted(logs[1])

    def alone(**piece):
        return feedback(logs, msgspec.json.encode({"prediction_id": name} | piece))

    def refused(**piece):
        with pytest.raises(Refusal) as caught:
            alone(**piece)
        return caught.value.status, caught.value.code

    assert refused(loss=7.0) == (422, "invalid_feedback")
    assert msgspec.json.decode(alone(label="ham", who="anna")) == {
        "prediction_id": name,
        "status": "joined",
        "message": "the policy has learnt from it",
    }
    assert refused(label="ham") == (409, "repeated_feedback")
    assert refused(prediction_id="p-of-nobody", loss=0.0) == (404, "unknown_feedback")


def test_who_told_is_welcome_where_nobody_asks(logs):
    body = (
        b'{"feedback": [{"prediction_id": "p", "label": "a"}], "who": "anna", "correction": true}'
    )
    assert msgspec.json.decode(feedback(logs, body))["counts"] == {"unknown": 1}


def test_too_much_at_once_is_refused():
    piece = {"prediction_id": "p", "loss": 0.0}
    with pytest.raises(Refusal) as caught:
        read_feedback(msgspec.json.encode({"feedback": [piece] * 10_001}))
    assert caught.value.status == 413


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_whatever_json_is_sent_is_feedback_or_refused(value):
    body = msgspec.json.encode({"feedback": value})
    if value == []:
        assert read_feedback(body) == ([], True)
        return
    with pytest.raises(Refusal) as caught:
        read_feedback(body)
    assert caught.value.status == 422


def test_a_server_that_does_not_learn_says_so():
    with pytest.raises(Refusal) as caught:
        feedback([], b'{"feedback": []}')
    assert caught.value.status == 404


def test_a_log_that_cannot_be_written_asks_to_try_later(logs, monkeypatch):
    name = predicted(logs[0])

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Refusal) as caught:
        sent(logs, {"prediction_id": name, "loss": 0.0})
    assert caught.value.status == 503
    assert ("Retry-After", "10") in caught.value.headers
    assert isinstance(caught.value.__cause__, StoreError)
