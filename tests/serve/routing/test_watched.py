import asyncio

import msgspec
import pytest

from gristmill.serve.online.endpoint import Answered
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.swappable import Swappable
from gristmill.serve.routing.watched import Watched, drift, watches
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.serve.watch.statistician import Compared


class Lengths:
    """Statistics are a number of rows."""

    def profile(self, columns):
        return len(columns["text"])

    def add(self, one, two):
        return one + two

    def compare(self, statistics):
        return Compared([], [], statistics)


@pytest.fixture
def watch():
    return DriftWatch("m", ServedProfile(Lengths()), every=60.0)


def test_what_passes_is_profiled(endpoint, rows, call, watch, page):
    async def run():
        inner = endpoint("a")
        route = Watched(inner, watch)
        for _ in range(3):
            found = await route.answer(rows, call())
        await route.close()
        return inner.closed, found.rows["label"], route, len(asyncio.all_tasks())

    closed, labels, route, tasks = asyncio.run(run())
    assert (closed, labels, tasks) == (True, ["spam", "spam"], 1)
    assert page(route)["gristmill_profiled_rows_total{m}"] == 6


def test_reports_are_found_wherever_a_watch_is_and_each_once(endpoint, watch):
    route = Swappable("r", Watched(endpoint("a"), watch))
    found = msgspec.json.decode(asyncio.run(drift([endpoint("b"), route, route])))
    assert [each["model"] for each in found["drift"]] == ["m"]
    assert watches([route, route]) == [watch]
    assert msgspec.json.decode(asyncio.run(drift([]))) == {"drift": []}


def test_a_report_is_of_this_moment(endpoint, rows, call, watch):
    async def run():
        route = Watched(endpoint("a"), watch)
        await route.answer(rows, call())
        body = await drift([route])
        await route.close()
        return msgspec.json.decode(body)["drift"]

    ((report,), closed) = asyncio.run(run()), watch.report()
    assert (report["served"], report["compared"]) == (2, 2)
    assert closed.compared == 2


def test_what_failed_is_not_profiled(endpoint, rows, call, watch):
    route = Watched(endpoint("a", error=KeyError("x")), watch)
    with pytest.raises(KeyError):
        asyncio.run(route.answer(rows, call()))
    assert watch.rows.take().served == 0


class Prompt:
    """Answers at once, without a coroutine, or refuses; `answers` is None where it cannot."""

    name = "prompt"
    inputs = outputs = classes = ()

    def __init__(self, outcome):
        self.outcome = outcome

    def ask(self, rows, call, told):
        if self.outcome is None:
            return None
        told(self.outcome)
        return "to be called off"

    async def answer(self, rows, call):
        raise NotImplementedError

    async def close(self):
        pass


def asked(inner, rows, call, watch):
    heard = []

    async def run():
        route = Watched(inner, watch)
        gone = route.ask(rows, call, heard.append)
        await route.close()
        return gone

    return asyncio.run(run()), heard


def test_what_is_asked_without_a_coroutine_is_profiled_too(rows, call, watch):
    answer = Answered(rows=Rows({"label": ["a", "b"]}), model="m")
    assert asked(Prompt(answer), rows, call(), watch) == ("to be called off", [answer])
    assert watch.report().profiled == 2


def test_a_refusal_is_passed_on_and_not_profiled(rows, call, watch):
    refusal = Refusal(503, "queue_full", "no")
    assert asked(Prompt(refusal), rows, call(), watch) == ("to be called off", [refusal])
    assert watch.report().served == 0


def test_who_cannot_be_asked_so_says_so(endpoint, rows, call, watch):
    assert asked(Prompt(None), rows, call(), watch) == (None, [])
    assert asked(endpoint("a"), rows, call(), watch) == (None, [])
