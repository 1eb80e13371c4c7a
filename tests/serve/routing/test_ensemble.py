import asyncio

import numpy as np
import pytest

from gristmill.serve.online.endpoint import Answered
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.ensemble import Ensemble
from gristmill.serve.runners.labels import ClassRows


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


def answered(prob, name):
    probs = np.tile((1 - prob, prob), (2, 1))
    return Answered(rows=ClassRows(["ham", "spam"], probs), model=f"{name:0<32}")


def test_members_that_are_asked_without_a_coroutine_answer_alike(prompt, endpoint, rows, call):
    async def run():
        told, members = [], [prompt("a"), prompt("b")]
        assert Ensemble("all", members).ask(rows, call(), told.append) is not None
        members[1].tell(answered(0.8, "b"))
        assert told == []
        members[0].tell(answered(0.1, "a"))
        waited = await Ensemble("all", [endpoint("a", 0.1), endpoint("b", 0.8)]).answer(
            rows, call()
        )
        return told, waited

    (found,), expected = asyncio.run(run())
    assert found.rows["prob"].tolist() == expected.rows["prob"].tolist()
    assert found.agreement.tolist() == expected.agreement.tolist()
    assert (found.members, found.model) == (expected.members, expected.model)


def test_who_is_told_hears_at_the_deadline_what_is_there(prompt, rows, call, page):
    async def run():
        told, members = (
            [],
            [prompt("a"), prompt("slow"), prompt("broken", error=Refusal(503, "x", ""))],
        )
        ensemble = Ensemble("all", members, margin=0.01)
        ensemble.ask(rows, call(0.05), told.append)
        members[0].tell(answered(0.9, "a"))
        while not told:
            await asyncio.sleep(0.001)
        members[1].tell(answered(0.9, "slow"))  # nobody waits for it
        return told, members[1].left, page(ensemble)

    (found,), left, figures = asyncio.run(run())
    assert (found.degraded, found.late, left) == (True, ("slow", "broken"), 1)
    assert figures["gristmill_ensemble_missed_total{all,slow,late}"] == 1
    assert figures["gristmill_ensemble_missed_total{all,broken,failed}"] == 1


def test_who_leaves_hears_nothing(prompt, rows, call):
    async def run():
        told, members = [], [prompt("a"), prompt("b")]
        leave = Ensemble("all", members).ask(rows, call(0.02), told.append)
        members[0].tell(answered(0.9, "a"))
        leave()
        await asyncio.sleep(0.03)
        return told, [member.left for member in members]

    assert asyncio.run(run()) == ([], [0, 1])


def test_where_all_fail_at_once_it_is_told_after_the_question(prompt, rows, call):
    async def run():
        told, error = [], Refusal(503, "queue_full", "no")
        Ensemble("all", [prompt("a", error=error)]).ask(rows, call(), told.append)
        assert told == []
        await asyncio.sleep(0.001)
        return told, error

    told, error = asyncio.run(run())
    assert told == [error]


def test_a_member_that_cannot_be_asked_so_is_waited_for(prompt, endpoint, rows, call):
    async def run():
        asked = prompt("a")
        assert Ensemble("all", [asked, prompt("b", says_no=True)]).ask(rows, call(), print) is None
        assert Ensemble("all", [prompt("a"), endpoint("b")]).ask(rows, call(), print) is None
        return asked.left

    assert asyncio.run(run()) == 1
