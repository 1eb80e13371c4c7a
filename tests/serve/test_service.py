import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.protocol import Answer, Limits, Model
from gristmill.serve.refusal import Refusal
from gristmill.serve.runner import Runner
from gristmill.serve.service import Service

TEXTS = st.lists(st.text("abc de£日", max_size=12), min_size=1, max_size=6)


@pytest.fixture
def service(runner):
    return Service(runner, Model("parity", "0123456789"), Limits(max_instances=5, max_batch=3))


def test_answers_in_order_and_counts_batches(service, runner):
    records = [{"text": "x" * size} for size in range(5)]
    answers = asyncio.run(service.answer(records))
    assert answers == [Answer(*runner.answer("x" * size)) for size in range(5)]
    assert runner.batches == [3, 2]
    assert "gristmill_batch_records_sum 5" in service.metrics.text()


def test_too_many_instances_are_refused_before_they_are_looked_at(service):
    with pytest.raises(Refusal) as caught:
        asyncio.run(service.answer([None] * 6))
    assert (caught.value.status, caught.value.code) == (413, "too_many_instances")
    assert caught.value.message == "expected at most 5 instances, found 6"


def test_an_answer_that_is_no_number_is_never_sent(service):
    with pytest.raises(Refusal) as caught:
        asyncio.run(service.answer([{"text": "ok"}, {"text": "nan"}]))
    (detail,) = caught.value.details
    assert caught.value.status == 422
    assert (detail.index, detail.found) == (1, "no finite answer")


def test_warming_up_measures_one_record_and_a_full_batch(service, runner):
    service.warm_up()
    assert runner.batches == [1, 1, 3]
    assert service.batcher.latency.seconds(3) > 0


def test_ids_are_unique(service):
    ids = [name for _ in range(50) for name in service.prediction_ids(3)]
    assert len(set(ids)) == 150
    assert ids[0].startswith("p01234567-")


def test_is_ready_until_it_closes(service):
    assert service.ready
    asyncio.run(service.batcher.close())
    assert not service.ready


@given(st.lists(TEXTS, min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_every_answer_equals_that_of_the_runner_alone(spam_bundle, requests):
    runner = Runner(spam_bundle)
    service = Service(runner, Model("spam", spam_bundle.fingerprint), Limits(max_batch=4))

    async def everything():
        asked = (service.answer([{"text": text} for text in texts]) for texts in requests)
        return await asyncio.gather(*asked)

    for texts, answers in zip(requests, asyncio.run(everything()), strict=True):
        for text, answer in zip(texts, answers, strict=True):
            alone = runner.predict(runner.frame([{"text": text}])).row(0, named=True)
            assert answer.probs == pytest.approx(alone["probs"], abs=1e-6)
            assert answer.prob == max(answer.probs)
