import asyncio
import re

import pytest

from gristmill.serve.plain import instances_of, predict
from gristmill.serve.protocol import Limits, Model
from gristmill.serve.refusal import Refusal
from gristmill.serve.service import Service


def test_a_batch_and_a_single_record():
    assert instances_of({"instances": [{"text": "a"}, 3]}) == [{"text": "a"}, 3]
    assert instances_of({"text": "a"}) == [{"text": "a"}]
    assert instances_of({"instances": []}) == []


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([1, 2], "expected an object, found array of 2"),
        (None, "expected an object, found null"),
        ("text", "expected an object, found string 'text'"),
        ({"instances": {"text": "a"}}, "expected an array of records under 'instances', found "),
        ({"instances": [], "limit": 3}, "expected nothing beside 'instances', found 'limit'"),
    ],
)
def test_another_form_is_refused(payload, message):
    with pytest.raises(Refusal) as caught:
        instances_of(payload)
    assert (caught.value.status, caught.value.code) == (400, "wrong_form")
    assert caught.value.message.startswith(message)
    assert caught.value.fix.startswith('send {"instances": [')


def test_the_answer_names_classes_and_model(runner):
    service = Service(runner, Model("parity", "0123456789abcdef"), Limits())
    answer = asyncio.run(predict(service, {"instances": [{"text": "a"}, {"text": "ab"}]}))
    assert answer["model"] == {"name": "parity", "fingerprint": "0123456789abcdef"}
    first, second = answer["predictions"]
    assert first["label"] == "odd"
    assert first["prob"] == first["probs"]["odd"] == 0.75
    assert first["probs"]["even"] == 0.25
    assert second["label"] == "even"
    assert re.fullmatch(r"p01234567-[0-9a-f]{16}-0", first["id"])
    assert second["id"] == first["id"][:-1] + "1"
