import asyncio

import msgspec
import pytest

from gristmill.serve.routing.swappable import Swappable
from gristmill.serve.routing.watched import Watched, drift
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.served_profile import Compared, ServedProfile


class Lengths:
    """Statistics are a number of rows."""

    def profile(self, columns):
        return len(columns["text"])

    def compare(self, statistics):
        return Compared([], [])


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


def test_reports_are_found_wherever_a_watch_is(endpoint, watch):
    route = Swappable("r", Watched(endpoint("a"), watch))
    found = msgspec.json.decode(drift([endpoint("b"), route]))
    assert [each["model"] for each in found["drift"]] == ["m"]
    assert msgspec.json.decode(drift([])) == {"drift": []}


def test_what_failed_is_not_profiled(endpoint, rows, call, watch):
    route = Watched(endpoint("a", error=KeyError("x")), watch)
    with pytest.raises(KeyError):
        asyncio.run(route.answer(rows, call()))
    assert watch.rows.take().served == 0
