import asyncio
import time

import pytest

from gristmill.serve.online.cache import AnswerCache
from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.in_process import ThreadReplica
from gristmill.serve.online.model_endpoint import bounds_of
from gristmill.serve.protocol import Limits
from gristmill.serve.refusal import Refusal


def call(seconds=60.0, **more):
    return Call(request_id="r", deadline=time.monotonic() + seconds, **more)


def ask(endpoint, *requests, **more):
    """Ask all at once; return answers as lists, or errors."""

    async def run():
        asked = (endpoint.answer(each, call(**more)) for each in requests)
        found = await asyncio.gather(*asked, return_exceptions=True)
        await endpoint.close()
        return [each if isinstance(each, Exception) else each.rows["y"].tolist() for each in found]

    return asyncio.run(run())


def test_it_describes_its_model(make_endpoint, runner):
    endpoint = make_endpoint()
    assert (endpoint.name, endpoint.fingerprint) == ("squares", "f1")
    assert (endpoint.inputs, endpoint.outputs, endpoint.classes) == ((), (), ("a",))


def test_requests_of_one_turn_share_a_batch(make_endpoint, runner, rows):
    assert ask(make_endpoint(), rows(1), rows(2, 3), rows(4)) == [[1], [4, 9], [16]]
    assert runner.batches == [[1, 2, 3, 4]]


def test_a_thread_answers_the_same(make_endpoint, runner, rows):
    endpoint = make_endpoint(ThreadReplica(runner))
    assert ask(endpoint, rows(1), rows(2, 3)) == [[1], [4, 9]]


def test_large_requests_are_split_and_put_together_again(make_endpoint, runner, rows):
    endpoint = make_endpoint(batch_rows=4)
    assert ask(endpoint, rows(*range(10)), rows(5)) == [[n * n for n in range(10)], [25]]
    assert [len(batch) for batch in runner.batches] == [4, 4, 3]


def test_only_the_request_that_breaks_a_batch_fails(make_endpoint, rows):
    endpoint = make_endpoint()
    found = ask(endpoint, rows(1), rows(2, -3), rows(4), rows(5), rows(-6))
    assert [each for each in found if isinstance(each, list)] == [[1], [16], [25]]
    assert [str(found[1]), str(found[4])] == ["negative: -3", "negative: -6"]
    assert (endpoint.engine.tally.answered, endpoint.engine.tally.failed) == (3, 2)


def test_many_that_break_one_batch_all_fail_alone(make_endpoint, rows):
    found = ask(make_endpoint(), *(rows(-n) for n in range(1, 33)), *(rows(n) for n in range(30)))
    assert [str(each) for each in found[:32]] == [f"negative: {-n}" for n in range(1, 33)]
    assert found[32:] == [[n * n] for n in range(30)]


def test_a_model_that_answers_too_little_is_an_error(make_endpoint, rows):
    found = ask(make_endpoint(), rows(1), rows(99, 2))
    assert found[0] == [1]
    assert str(found[1]) == "the model gave 1 answers to 2 records"


def test_no_time_no_answer(make_endpoint, runner, rows):
    (refused,) = ask(make_endpoint(), rows(1), seconds=-1.0)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.code, refused.headers) == (503, "deadline_too_short", ())
    assert runner.batches == []


def test_a_full_queue_says_when_to_come_again(make_endpoint, rows):
    endpoint = make_endpoint(queue_rows=2)
    found = ask(endpoint, rows(1), rows(2), rows(3))
    assert found[:2] == [[1], [4]]
    assert (found[2].status, found[2].code) == (503, "queue_full")
    assert found[2].headers == (("Retry-After", "1"),)
    assert endpoint.engine.tally.refused == {"queue_full": 1}


def test_a_better_priority_takes_the_place_of_another(make_endpoint, rows):
    async def run():
        endpoint = make_endpoint(queue_rows=1)
        low = asyncio.ensure_future(endpoint.answer(rows(1), call(priority=1)))
        high = asyncio.ensure_future(endpoint.answer(rows(2), call(priority=0)))
        found = await asyncio.gather(low, high, return_exceptions=True)
        await endpoint.close()
        return found

    low, high = asyncio.run(run())
    assert low.code == "overloaded"
    assert high.rows["y"].tolist() == [4]


def test_answers_come_from_the_cache(make_endpoint, runner, rows):
    async def run():
        endpoint = make_endpoint(cache=AnswerCache(10_000))
        first = await endpoint.answer(rows(1, 2, 1), call())
        second = await endpoint.answer(rows(2, 3), call())
        await endpoint.close()
        return first, second

    first, second = asyncio.run(run())
    assert (first.rows["y"].tolist(), first.cached) == ([1, 4, 1], 1)
    assert (second.rows["y"].tolist(), second.cached) == ([4, 9], 1)
    assert runner.batches == [[1, 2], [3]]


def test_the_cache_tells_models_and_routes_apart(make_endpoint, runner, rows):
    async def run():
        cache = AnswerCache(10_000)
        for route, fingerprint in (("a", "f1"), ("b", "f1"), ("a", "f2"), ("a", "f1")):
            runner.fingerprint = fingerprint
            endpoint = make_endpoint(cache=cache, route=route)
            await endpoint.answer(rows(7), call())
            await endpoint.close()

    asyncio.run(run())
    assert runner.batches == [[7]] * 3


def test_who_waits_for_the_same_row_is_refused_at_its_own_deadline(
    make_endpoint, held, rows, turns
):
    async def run():
        replica = held()
        endpoint = make_endpoint(replica, cache=AnswerCache(10_000))
        leader = asyncio.ensure_future(endpoint.answer(rows(3), call()))
        await turns()
        with pytest.raises(Refusal) as refused:
            await endpoint.answer(rows(3), call(0.01))
        replica.release()
        answer = await leader
        await endpoint.close()
        return refused.value, answer.rows["y"].tolist(), replica.held

    refused, answer, left = asyncio.run(run())
    assert (refused.code, answer, left) == ("overloaded", [9], [])


def test_its_figures_are_told(make_endpoint, rows):
    endpoint = make_endpoint(cache=AnswerCache(10_000), queue_rows=1)
    ask(endpoint, rows(1), rows(2))
    told = {sample.name: sample.value for sample in endpoint.samples()}
    assert (told["gristmill_batches_total"], told["gristmill_rows_total"]) == (1, 1)
    assert (told["gristmill_cache_misses_total"], told["gristmill_refused_total"]) == (2, 1)
    assert all(sample.labels["model"] == "squares" for sample in endpoint.samples())


def test_limits_of_a_server_bound_the_scheduler():
    bounds = bounds_of(Limits(max_batch=7, max_queue=2000))
    assert (bounds.batch_rows, bounds.queue_rows) == (7, 2000)


def test_it_can_be_asked_without_a_coroutine(make_endpoint, runner, rows, turns):
    async def run():
        endpoint, told = make_endpoint(queue_rows=3), []
        for each in (rows(1), rows(-2), rows(3)):
            endpoint.ask(each, call(), told.append)
        with pytest.raises(Refusal, match=r"^the queue is full"):
            endpoint.ask(rows(4), call(), told.append)
        assert told == []
        await turns(12)
        await endpoint.close()
        return told

    told = asyncio.run(run())
    assert [each.rows["y"].tolist() for each in told if not isinstance(each, Exception)] == [
        [1],
        [9],
    ]
    assert [str(each) for each in told if isinstance(each, Exception)] == ["negative: -2"]


def test_who_has_left_is_told_nothing(make_endpoint, runner, rows, turns):
    async def run():
        endpoint, told = make_endpoint(), []
        leave = endpoint.ask(rows(1), call(), told.append)
        endpoint.ask(rows(2), call(), told.append)
        leave()
        await turns()
        await endpoint.close()
        return told

    (answered,) = asyncio.run(run())
    assert answered.rows["y"].tolist() == [4]
    assert runner.batches == [[2]]


def test_a_cache_needs_a_coroutine(make_endpoint, rows):
    assert make_endpoint(cache=AnswerCache(1000)).ask(rows(1), call(), print) is None
