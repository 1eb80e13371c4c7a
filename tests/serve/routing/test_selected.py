import asyncio

import numpy as np
import pytest

from gristmill.core.errors import StoreError
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.selected import Selected, by_field, by_user
from gristmill.serve.runners.rows import Rows
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.kinds import policy_named


@pytest.fixture
def selected(tmp_path):
    """selected(members, policy="thompson", draw=0.0, **options): a route with a log of its own."""
    opened = []

    def make(members, policy="thompson", draw=0.0, constants=None, **options):
        names = [member.name for member in members]
        policy = policy_named(policy, len(names), constants)
        feedback = FeedbackLog(tmp_path / "log", policy, names)
        opened.append(feedback)
        draws = draw if callable(draw) else lambda: draw
        return Selected("best", members, feedback, draws=draws, **options)

    yield make
    for feedback in opened:
        feedback.close()


def test_the_member_that_was_picked_answers_and_learns(endpoint, rows, call, selected, page):
    members = [endpoint("a", 0.9), endpoint("b", 0.1)]
    route = selected(members, draw=0.99)
    found = asyncio.run(route.answer(rows, call()))
    assert found.rows["label"] == ["ham", "ham"]
    assert (len(members[0].calls), len(members[1].calls)) == (0, 1)
    assert route.feedback.feedback(f"{found.prediction}-0", truth="spam") == "joined"
    assert route.feedback.feedback(f"{found.prediction}-1", loss=0.5) == "joined"
    assert route.feedback.learner.state().weight[:2] == (0.0, 2.0)
    assert route.feedback.learner.state().loss[:2] == (0.0, 1.5)
    figures = page(route)
    assert figures["gristmill_selection_picked_total{best,b}"] == 1
    assert figures["gristmill_feedback_total{best,joined}"] == 2
    assert 0.0 < figures["gristmill_selection_probability{best,b}"] < 0.5
    assert figures["gristmill_selection_told_total{best,b}"] == 2
    assert figures["gristmill_selection_lost_total{best,b}"] == 1.5
    assert figures["gristmill_feedback_awaited{best}"] == 0


def test_it_tells_how_its_members_stand(endpoint, rows, call, selected):
    route = selected([endpoint("a", 0.9), endpoint("b", 0.1)], draw=0.99)
    found = asyncio.run(route.answer(rows, call()))
    route.feedback.feedback(f"{found.prediction}-0", loss=1.0)
    unknown, known = route.about()["standing"]
    assert unknown["probability"] + known["probability"] == pytest.approx(1.0)
    assert unknown["probability"] > known["probability"]
    # The posterior's mean: a loss counts as a recent one and in the long run.
    assert [unknown["believed"], known["believed"]] == pytest.approx([1 / 2, 3 / 4])
    assert (unknown["told"], unknown["loss"]) == (0, None)
    assert (known["told"], known["loss"]) == (1, 1.0)
    assert known["fingerprint"] == found.model


def test_where_users_have_states_of_their_own_there_is_no_probability_of_all(
    endpoint, rows, call, selected, page
):
    route = selected([endpoint("a"), endpoint("b")], context=by_user)
    for user in ("eva", "otto", "eva"):
        asyncio.run(route.answer(rows, call(user=user)))
    assert [each["probability"] for each in route.about()["standing"]] == [None, None]
    figures = page(route)
    assert "gristmill_selection_probability{best,a}" not in figures
    assert figures["gristmill_selection_contexts{best}"] == 2


def test_a_field_tells_the_context(call):
    country = by_field("country")
    assert country(Rows({"country": ["de", "fr"]}, 2), call()) == "de"
    assert country(Rows({"country": np.array([3])}, 1), call()) == "3"
    assert country(Rows({"country": [None]}, 1), call()) == ""
    assert country(Rows({"text": ["hi"]}, 1), call()) == ""
    assert country(Rows({"country": []}, 0), call()) == ""


def test_users_have_states_of_their_own(endpoint, rows, call, selected):
    route = selected([endpoint("a"), endpoint("b")], context=by_user)
    found = asyncio.run(route.answer(rows, call(user="eva")))
    route.feedback.feedback(f"{found.prediction}-0", loss=1.0)
    assert list(route.feedback.learner.contexts) == ["eva"]
    assert route.feedback.learner.probabilities("otto") == pytest.approx((0.5, 0.5))


def test_a_member_that_fails_loses(endpoint, rows, call, selected):
    route = selected([endpoint("a", error=RuntimeError("no")), endpoint("b")])
    with pytest.raises(RuntimeError, match="no"):
        asyncio.run(route.answer(rows, call()))
    assert route.feedback.learner.state().loss[:2] == (1.0, 0.0)


def test_what_the_client_did_wrong_is_no_loss(endpoint, rows, call, selected):
    route = selected([endpoint("a", error=Refusal(422, "bad", "no")), endpoint("b")])
    with pytest.raises(Refusal):
        asyncio.run(route.answer(rows, call()))
    assert route.feedback.learner.snapshot() == []


def test_hedge_asks_all_and_waits_for_the_picked_one_alone(endpoint, rows, call, selected):
    async def run():
        gate = asyncio.Event()
        members = [
            endpoint("a", 0.9),
            endpoint("b", 0.1, gate=gate),
            endpoint("c", error=KeyError()),
        ]
        route = selected(members, "hedge")
        found = await route.answer(rows, call())
        assert [len(member.calls) for member in members] == [1, 1, 1]
        gate.set()
        while route._others:
            await asyncio.sleep(0)
        route.feedback.feedback(f"{found.prediction}-0", truth="ham")
        return found, route.feedback.learner.state()

    found, state = asyncio.run(run())
    assert found.rows["label"] == ["spam", "spam"]
    assert state.weight[:3] == (1.0, 1.0, 0.0)
    assert state.loss[0] > state.loss[1] == 0.0


def test_a_share_of_the_requests_asks_all(endpoint, rows, call, selected):
    # By turns: who is picked, and whether the request is in the share of a half.
    draws = iter([0.0, 0.7, 0.0, 0.3])
    members = [endpoint("a", 0.9), endpoint("b", 0.1), endpoint("c", 0.1)]
    route = selected(members, draw=lambda: next(draws), constants={"shadow": 0.5})

    async def run():
        counts = []
        for _ in range(2):
            await route.answer(rows, call())
            while route._others:
                await asyncio.sleep(0)
            counts.append([len(member.calls) for member in members])
        return counts

    assert asyncio.run(run()) == [[1, 0, 0], [2, 1, 1]]
    # Of both rows, a says another label than b and c.
    state = route.feedback.learner.state()
    assert state.weight[3:6] == (2.0, 2.0, 2.0)
    assert state.loss[3:6] == (2.0, 2.0, 0.0)


def test_closing_drops_what_still_answers(endpoint, rows, call, selected):
    async def run():
        members = [endpoint("a"), endpoint("b", gate=asyncio.Event())]
        route = selected(members, "hedge")
        await route.answer(rows, call())
        await route.close()
        return members, len(asyncio.all_tasks())

    members, tasks = asyncio.run(run())
    assert members[1].cancelled == 1
    assert all(member.closed for member in members)
    assert tasks == 1


def test_a_client_that_leaves_takes_all_members_along(endpoint, rows, call, selected):
    async def run():
        members = [endpoint(name, gate=asyncio.Event()) for name in "ab"]
        route = selected(members, "hedge")
        task = asyncio.ensure_future(route.answer(rows, call()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        return [member.cancelled for member in members]

    assert asyncio.run(run()) == [1, 1]


def test_an_answer_that_cannot_be_logged_is_an_answer(
    endpoint, rows, call, selected, monkeypatch, page
):
    route = selected([endpoint("a"), endpoint("b")])

    def full(*_, **__):
        raise StoreError("the disk is full")

    monkeypatch.setattr(route.feedback, "predicted", full)
    found = asyncio.run(route.answer(rows, call()))
    assert found.prediction == ""
    assert found.rows.count == 2
    assert page(route)["gristmill_feedback_total{best,not_logged}"] == 1


def test_it_learns_to_ask_the_better_one(endpoint, rows, call, tmp_path):
    async def run():
        members = [endpoint("bad", 0.1), endpoint("good", 0.9)]
        draws = iter(range(10**6))
        feedback = FeedbackLog(tmp_path / "log", policy_named("thompson", 2), ["bad", "good"])
        route = Selected("best", members, feedback, draws=lambda: (next(draws) * 0.618) % 1.0)
        for _ in range(150):
            found = await route.answer(rows, call())
            feedback.feedback(f"{found.prediction}-0", truth="spam")
        await route.close()
        return len(members[1].calls)

    assert asyncio.run(run()) > 135


@pytest.mark.parametrize(
    ("members", "constants", "said"),
    [
        ("ab", None, "selection: thompson over a, b"),
        ("abc", None, "selection: thompson over a, b, c; all asked at 5 % of the requests"),
        ("abc", {"shadow": 0.0}, "selection: thompson over a, b, c"),
    ],
)
def test_it_says_how_often_all_are_asked(endpoint, selected, members, constants, said):
    assert selected([endpoint(name) for name in members], constants=constants).says() == said


async def heard(route, rows, call, *answering):
    """Ask without a coroutine; return what is told."""
    told = asyncio.get_running_loop().create_future()
    route.ask(rows, call, told.set_result)
    for member in answering:
        member.tell()
    return await told


def test_the_picked_member_is_asked_without_a_coroutine(prompt, rows, call, selected, page):
    members = [prompt("a"), prompt("b")]
    route = selected(members, draw=0.99)
    found = asyncio.run(heard(route, rows, call(), members[1]))
    assert found.rows["label"] == ["ham", "ham"]
    assert members[0].asked == []
    assert route.feedback.feedback(f"{found.prediction}-0", loss=1.0) == "joined"
    assert page(route)["gristmill_selection_picked_total{best,b}"] == 1


@pytest.mark.parametrize("policy", ["thompson", "hedge"])
def test_others_are_asked_in_a_task(endpoint, prompt, rows, call, selected, policy):
    members = [endpoint("a"), prompt("b", says_no=True)]
    for draw in (0.0, 0.99):
        route = selected(members, policy, draw)
        found = asyncio.run(heard(route, rows, call()))
        assert found.prediction
        route.feedback.close()


def test_a_refusal_and_an_error_told_later_are_losses(prompt, rows, call, selected):
    refused, members = Refusal(503, "late", "no"), [prompt("a"), prompt("b")]
    route = selected(members)

    async def run():
        told = []
        route.ask(rows, call(), told.append)
        members[0].tell(RuntimeError("no"))
        members[0].error = refused
        with pytest.raises(Refusal) as caught:
            route.ask(rows, call(), told.append)
        return told, caught.value

    (told,), caught = asyncio.run(run())
    assert isinstance(told, RuntimeError)
    assert caught is refused
    assert route.feedback.learner.state().loss[:2] == (2.0, 0.0)
