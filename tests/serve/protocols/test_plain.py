from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.online.endpoint import Answered
from gristmill.serve.protocols.plain import PlainAnswers, instances_of
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Ragged, Rows

ROWS = Rows(
    {
        "label": ["b", "a"],
        "prob": np.array([0.75, 0.5]),
        "probs": np.array([[0.25, 0.75], [0.5, 0.5]]),
    }
)


def written(answered, classes=()):
    return orjson.loads(PlainAnswers("m", classes).write(answered, "p-"))


def test_a_classifiers_answer():
    assert written(Answered(rows=ROWS, model="f1"), ("a", "b")) == {
        "predictions": [
            {"id": "p-0", "label": "b", "prob": 0.75, "probs": {"a": 0.25, "b": 0.75}},
            {"id": "p-1", "label": "a", "prob": 0.5, "probs": {"a": 0.5, "b": 0.5}},
        ],
        "model": {"name": "m", "fingerprint": "f1"},
    }


def test_any_other_answer_by_name():
    ragged = Ragged(np.arange(3, dtype=np.float32), np.array([0, 1, 3]))
    columns = {
        "y": np.arange(4, dtype=np.float32).reshape(2, 2),
        "n": np.array([1, 2]),
        "text": ["q", "r"],
        "free": ragged,
    }
    assert written(Answered(rows=Rows(columns), model="f1"))["predictions"] == [
        {"id": "p-0", "y": [0.0, 1.0], "n": 1, "text": "q", "free": [0.0]},
        {"id": "p-1", "y": [2.0, 3.0], "n": 2, "text": "r", "free": [1.0, 2.0]},
    ]


def test_what_is_not_the_models_own_is_marked():
    answered = Answered(
        rows=ROWS, model="f1", degraded=True, agreement=np.array([1.0, 0.5]), members=("f2", "f3")
    )
    body = written(answered, ("a", "b"))
    assert (body["degraded"], body["members"]) == (True, ["f2", "f3"])
    assert [prediction["agreement"] for prediction in body["predictions"]] == [1.0, 0.5]


def test_models_come_and_go():
    answers = PlainAnswers("m", ())
    for number in range(200):
        rows = Rows({"y": np.zeros(1)})
        body = orjson.loads(answers.write(Answered(rows=rows, model=f"f{number}"), "p"))
        assert body["model"]["fingerprint"] == f"f{number}"
    assert len(answers._models) <= 65


def test_many_records_or_one():
    assert instances_of(b'{"instances": [1, {}]}') == [1, {}]
    assert instances_of(b'{"text": "a"}') == [{"text": "a"}]
    assert instances_of(b"{}") == [{}]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"[1]", "wrong_form", "expected an object, found array of 1"),
        (
            b'{"instances": 3}',
            "wrong_form",
            "expected an array of records under 'instances', found int 3",
        ),
        (
            b'{"instances": [], "b": 1, "a": 2}',
            "wrong_form",
            "expected nothing beside 'instances', found 'a', 'b'",
        ),
        (
            b'{"a": \n NaN}',
            "malformed_json",
            "malformed JSON at line 2, column 2 (character 8): unexpected character, "
            "expected a JSON value",
        ),
    ],
)
def test_other_bodies(body, code, message):
    with pytest.raises(Refusal) as caught:
        instances_of(body)
    assert (caught.value.status, caught.value.code, caught.value.message) == (400, code, message)


def test_json_nested_too_deeply_is_refused():
    with pytest.raises(Refusal) as caught:
        instances_of(b"[" * 100_000)
    assert caught.value.status == 400


@given(st.binary(max_size=80))
def test_any_bytes_are_instances_or_refused(body):
    with suppress(Refusal):
        assert isinstance(instances_of(body), list)
