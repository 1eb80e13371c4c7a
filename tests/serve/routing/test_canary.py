import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.serve.online.endpoint import Call
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.canary import Canary

KEY = b"0123456789abcdef"


def users(canary, call, count=4000):
    return {n for n in range(count) if canary.goes_to_candidate(call(user=f"user {n}"))}


def test_a_share_of_the_users_goes_to_the_candidate(endpoint, call):
    canary = Canary("new", endpoint("a"), endpoint("b"), 0.2, key=KEY)
    first = users(canary, call)
    assert 0.17 < len(first) / 4000 < 0.23
    canary.share = 0.5
    assert first < users(canary, call)
    canary.share = 0.0
    assert users(canary, call) == set()
    canary.share = 1.0
    assert len(users(canary, call)) == 4000


def test_another_key_sends_others(endpoint, call):
    one, other = (Canary("new", endpoint("a"), endpoint("b"), 0.5, key=key)
                  for key in (KEY, KEY[::-1]))  # fmt: skip
    assert 0.4 < len(users(one, call) & users(other, call)) / len(users(one, call)) < 0.6


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_a_user_stays_whatever_the_request(user, request_id):
    class Fits:
        inputs = outputs = classes = ()

        def __init__(self, name):
            self.name = name

    canary = Canary("new", Fits("a"), Fits("b"), 0.5, key=KEY)
    first = canary.goes_to_candidate(Call(request_id="r", deadline=0.0, user=user or "u"))
    again = Call(request_id=request_id, deadline=1.0, user=user or "u")
    assert canary.goes_to_candidate(again) == first
    alone = Call(request_id=request_id, deadline=1.0)
    by_request = Canary("new", Fits("a"), Fits("b"), 0.5, key=KEY, by="request")
    assert canary.goes_to_candidate(alone) == by_request.goes_to_candidate(again)


def test_what_the_candidate_fails_at_the_stable_one_answers(endpoint, rows, call, page):
    broken = endpoint("b", error=RuntimeError("no"))
    canary = Canary("new", endpoint("a"), broken, 1.0, key=KEY)
    assert asyncio.run(canary.answer(rows, call())).model.startswith("a")
    figures = page(canary)
    assert figures["gristmill_canary_requests_total{new,b,failed}"] == 1
    assert figures["gristmill_canary_requests_total{new,a,answered}"] == 1
    assert figures["gristmill_canary_share{new}"] == 1.0
    strict = Canary("new", endpoint("a"), broken, 1.0, key=KEY, fall_back=False)
    with pytest.raises(RuntimeError, match="no"):
        asyncio.run(strict.answer(rows, call()))


def test_what_the_client_did_wrong_is_not_asked_twice(endpoint, rows, call):
    stable = endpoint("a")
    canary = Canary("new", stable, endpoint("b", error=Refusal(422, "bad", "no")), 1.0, key=KEY)
    with pytest.raises(Refusal):
        asyncio.run(canary.answer(rows, call()))
    assert stable.calls == []


def test_a_wrong_share_or_key_is_an_error(endpoint):
    with pytest.raises(UsageError, match=r"expected a share in \[0, 1\], found 1.5"):
        Canary("new", endpoint("a"), endpoint("b"), 1.5, key=KEY)
    with pytest.raises(UsageError, match="expected a key of 16 to 64 bytes, found 3"):
        Canary("new", endpoint("a"), endpoint("b"), 0.5, key=b"abc")


def test_whom_the_stable_one_answers_it_is_asked_for_without_a_coroutine(prompt, rows, call, page):
    stable, candidate, heard = prompt("a"), prompt("b"), []
    canary = Canary("new", stable, candidate, 0.0, key=KEY)
    for _ in range(3):
        assert canary.ask(rows, call(), heard.append) == stable.leave
    stable.tell()
    stable.tell(RuntimeError("broken"))
    stable.tell(Refusal(422, "bad", "no"))
    stable.error = Refusal(503, "queue_full", "no")
    with pytest.raises(Refusal):
        canary.ask(rows, call(), heard.append)
    assert [type(each).__name__ for each in heard] == ["Answered", "RuntimeError", "Refusal"]
    figures = page(canary)
    assert figures["gristmill_canary_requests_total{new,a,answered}"] == 1
    assert figures["gristmill_canary_requests_total{new,a,refused}"] == 1
    assert figures["gristmill_canary_requests_total{new,a,failed}"] == 2


def test_the_candidate_is_asked_by_answer_since_the_stable_one_may_have_to_help(
    prompt, endpoint, rows, call
):
    candidate = prompt("b")
    assert Canary("new", prompt("a"), candidate, 1.0, key=KEY).ask(rows, call(), print) is None
    assert candidate.asked == []
    assert Canary("new", endpoint("a"), candidate, 0.0, key=KEY).ask(rows, call(), print) is None
    no = prompt("a", says_no=True)
    assert Canary("new", no, candidate, 0.0, key=KEY).ask(rows, call(), print) is None
