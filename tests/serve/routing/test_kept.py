"""An endpoint whose predictions are kept: names, keys, samples, versions."""

import asyncio

import msgspec
import numpy as np
import pytest

from gristmill.serve.online.endpoint import Answered, Call
from gristmill.serve.routing.kept import Kept
from gristmill.serve.routing.swappable import Swappable
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import kept_predictions
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.truth_log import Telling, TruthLog


@pytest.fixture
def endpoint(make_served):
    return make_served().endpoint


@pytest.fixture
def keep(tmp_path, clock):
    """keep(endpoint, draws, **keeping): the endpoint with its predictions kept in `tmp_path`."""

    def keep(endpoint, draws=None, **keeping):
        how = Keeping(**keeping)
        log = PredictionLog(tmp_path, classes=endpoint.classes, keeping=how, clock=clock)
        return Kept(endpoint, log, TruthLog(tmp_path, keeping=how, clock=clock), draws=draws)

    return keep


def call(request="r1", key=""):
    return Call(request_id=request, deadline=1e9, key=key)


def texts(*values, **more):
    return Rows({"text": list(values), **more})


def run(route, *asked):
    async def all_():
        answers = [await route.answer(rows, each) for rows, each in asked]
        await route.close()
        return answers

    return asyncio.run(all_())


def test_answers_are_named_and_found_by_their_names(keep, endpoint, tmp_path):
    one, two = run(keep(endpoint), (texts("a", "bc"), call()), (texts("d"), call("r2")))
    kept = list(kept_predictions(tmp_path))
    assert [each.name for each in kept] == [
        f"{one.prediction}-0",
        f"{one.prediction}-1",
        f"{two.prediction}-0",
    ]
    assert [each.key for each in kept] == ["r1-0", "r1-1", "r2"]
    assert [each.answer["label"] for each in kept] == one.rows["label"] + two.rows["label"]
    assert {each.version for each in kept} == {endpoint.fingerprint}


def test_what_is_not_in_the_sample_has_no_name(keep, endpoint, tmp_path):
    route = keep(endpoint, iter([0.9, 0.09, 0.1]).__next__, rate=0.1)
    answers = run(route, *((texts(text), call()) for text in "abc"))
    assert [bool(answer.prediction) for answer in answers] == [False, True, False]
    assert [each.inputs["text"] for each in kept_predictions(tmp_path)] == ["b"]


def test_a_key_of_the_users_own_is_a_field_that_the_model_does_not_see(keep, endpoint, tmp_path):
    route = keep(endpoint, key="order")
    field = route.inputs[-1]
    assert (field.name, field.kind, field.required) == ("order", "string", False)
    seen = []
    answer = endpoint.answer

    async def look(rows, call_):
        seen.append(set(rows.columns))
        return await answer(rows, call_)

    endpoint.answer = look
    run(route, (texts("a", "b", order=["o-17", None]), call()), (texts("c"), call("r2", "mine")))
    kept = list(kept_predictions(tmp_path))
    assert [each.key for each in kept] == ["o-17", "r1-1", "mine"]
    assert [each.inputs for each in kept] == [{"text": text} for text in "abc"]
    assert seen == [{"text"}, {"text"}]


def test_an_input_of_the_model_may_be_the_key(keep, endpoint, tmp_path):
    route = keep(endpoint, key="count", without=("text",))
    assert route.inputs == endpoint.inputs
    run(route, (texts("a", count=np.array([17])), call()))
    (kept,) = kept_predictions(tmp_path)
    assert (kept.key, kept.inputs) == ("17", {"count": 17})


def test_every_prediction_says_which_version_answered(keep, endpoint, tmp_path):
    other = type(endpoint)()
    other.fingerprint = "f" * 32
    answer = other.answer

    async def as_other(rows, call_):
        return msgspec.structs.replace(await answer(rows, call_), model=other.fingerprint)

    other.answer = as_other
    swappable = Swappable("parity", endpoint, "1")
    route = keep(swappable)

    async def all_():
        first = await route.answer(texts("a"), call())
        await swappable.swap(other, "2")
        second = await route.answer(texts("b"), call())
        told = [Telling(f"{each.prediction}-0", "odd") for each in (first, second)]
        statuses = route.tell(told)
        await route.close()
        return statuses

    assert asyncio.run(all_()) == ["joined", "joined"]
    kept = list(kept_predictions(tmp_path))
    assert [each.version for each in kept] == [endpoint.fingerprint, "f" * 32]
    assert [each.truth for each in kept] == ["odd", "odd"]


class Prompt:
    """An endpoint that answers at once, or fails."""

    name, inputs, outputs, classes = "prompt", (), (), ()
    fails = False
    scale = 1

    def ask(self, rows, call_, told):
        answered = Answered(rows=Rows({"y": np.arange(rows.count) * self.scale}), model="abc")
        told(RuntimeError("no") if self.fails else answered)
        return lambda: None

    async def answer(self, rows, call_):
        raise NotImplementedError

    async def close(self):
        pass


def test_what_is_asked_without_a_coroutine_is_kept_too(keep, tmp_path):
    endpoint = Prompt()
    route, heard = keep(endpoint), []
    route.ask(texts("a", "b"), call(), heard.append)
    endpoint.fails = True
    route.ask(texts("c"), call(), heard.append)
    asyncio.run(route.close())
    assert [str(each) for each in heard[1:]] == ["no"]
    kept = list(kept_predictions(tmp_path))
    assert [each.name for each in kept] == [f"{heard[0].prediction}-{row}" for row in range(2)]
    assert [each.answer for each in kept] == [{"y": 0}, {"y": 1}]


def test_an_answer_that_is_no_number_is_refused_and_not_kept(keep, endpoint, tmp_path):
    (answered,) = run(keep(endpoint), (texts("nan"), call()))
    assert not answered.prediction
    prompt, heard = Prompt(), []
    prompt.scale = np.nan
    route = keep(prompt)
    route.ask(texts("a"), call(), heard.append)
    asyncio.run(route.close())
    assert not heard[0].prediction
    assert list(kept_predictions(tmp_path)) == []


def test_an_endpoint_without_a_short_way_has_none_here_either(keep, endpoint):
    route = keep(endpoint)
    assert route.ask(texts("a"), call(), print) is None
    asyncio.run(route.close())


def test_what_was_kept_and_told_is_counted(keep, endpoint):
    route = keep(endpoint)
    (answered,) = run(route, (texts("a", "b"), call()))
    route.truths.tell([Telling(f"{answered.prediction}-0", "odd"), Telling("nobody", "odd")])
    found = {(sample.name, sample.labels.get("status")): sample.value for sample in route.samples()}
    assert found["gristmill_kept_predictions_total", "kept"] == 2
    assert found["gristmill_told_truths_total", "joined"] == 1
    assert found["gristmill_told_truths_total", "unknown"] == 1
