import asyncio

import pytest

from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.ensemble import Ensemble


def test_all_members_answer_together(endpoint, rows, call):
    members = [endpoint("a", 0.9), endpoint("b", 0.8), endpoint("c", 0.1)]
    found = asyncio.run(Ensemble("all", members).answer(rows, call()))
    assert found.rows["label"] == ["spam", "spam"]
    assert found.rows["prob"].tolist() == pytest.approx([0.6, 0.6])
    assert found.agreement.tolist() == pytest.approx([2 / 3, 2 / 3])
    assert found.members == tuple(f"{name:0<32}" for name in "abc")
    assert (found.degraded, found.late) == (False, ())


def test_at_the_deadline_those_answer_who_are_there(endpoint, rows, call, page):
    async def run():
        members = [endpoint("a"), endpoint("slow", 0.0, gate=asyncio.Event())]
        ensemble = Ensemble("all", members, margin=0.01)
        found = await ensemble.answer(rows, call(0.05))
        await asyncio.sleep(0)
        return found, members[1], page(ensemble)

    found, slow, figures = asyncio.run(run())
    assert found.rows["label"] == ["spam", "spam"]
    assert found.degraded
    assert found.late == ("slow",)
    assert found.members == (f"{'a':0<32}",)
    assert slow.cancelled == 1
    assert figures == {"gristmill_ensemble_missed_total{all,slow,late}": 1}


def test_a_member_that_fails_is_left_out(endpoint, rows, call):
    members = [endpoint("a"), endpoint("broken", error=RuntimeError("no"))]
    found = asyncio.run(Ensemble("all", members).answer(rows, call()))
    assert (found.degraded, found.late) == (True, ("broken",))


def test_too_few_in_time_are_a_refusal_that_names_the_missing(endpoint, rows, call):
    async def run():
        members = [endpoint("a"), endpoint("slow", gate=asyncio.Event())]
        await Ensemble("all", members, at_least=2).answer(rows, call(0.05))

    with pytest.raises(Refusal) as caught:
        asyncio.run(run())
    assert caught.value.status == 503
    assert caught.value.message == (
        "1 of 2 models answered in time, at least 2 are needed; missing: slow"
    )
    assert ("Retry-After", "1") in caught.value.headers


def test_where_all_fail_the_first_error_is_told(endpoint, rows, call):
    members = [endpoint("a", error=ValueError("first")), endpoint("b", error=KeyError("second"))]
    with pytest.raises(ValueError, match="first"):
        asyncio.run(Ensemble("all", members).answer(rows, call()))


def test_what_the_client_did_wrong_is_told_as_such(endpoint, rows, call):
    wrong = Refusal(422, "bad_records", "no")
    members = [endpoint("a", error=ValueError("ours")), endpoint("b", error=wrong)]
    with pytest.raises(Refusal) as caught:
        asyncio.run(Ensemble("all", members).answer(rows, call()))
    assert caught.value is wrong


def test_a_client_that_leaves_leaves_no_task(endpoint, rows, call):
    async def run():
        member = endpoint("slow", gate=asyncio.Event())
        task = asyncio.ensure_future(Ensemble("all", [member]).answer(rows, call()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        return member.cancelled, len(asyncio.all_tasks())

    assert asyncio.run(run()) == (1, 1)


def test_closing_closes_the_members(endpoint):
    members = [endpoint("a"), endpoint("b")]
    asyncio.run(Ensemble("all", members).close())
    assert all(member.closed for member in members)
