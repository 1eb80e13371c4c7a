import asyncio

import numpy as np
import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.online.endpoint import Answered
from gristmill.serve.routing.shadow import Shadow, same_rows
from gristmill.serve.runners.rows import Ragged, Rows


def test_what_differs_is_counted(endpoint, rows, call, page):
    async def run():
        routes = [
            Shadow("r", endpoint("a", 0.9), endpoint("b", spam), seconds=60.0)
            for spam in (0.6, 0.1)
        ]
        for route in routes:
            await route.answer(rows, call())
            await route.settle()
        return routes

    same, different = asyncio.run(run())
    assert same.counts == {"same": 2, "different": 0}
    assert page(different) == {
        "gristmill_shadow_total{r,b,same}": 0,
        "gristmill_shadow_total{r,b,different}": 2,
    }


def test_a_slow_shadow_delays_nobody_and_is_dropped(endpoint, rows, call):
    async def run():
        slow = endpoint("slow", gate=asyncio.Event())
        route = Shadow("r", endpoint("a"), slow, most=3, seconds=60.0)
        for _ in range(10):
            found = await route.answer(rows, call())
            assert found.model.startswith("a")
            await asyncio.sleep(0)
        counts = dict(route.counts)
        await route.close()
        return counts, slow.most, slow.closed, len(asyncio.all_tasks())

    assert asyncio.run(run()) == ({"dropped": 7}, 3, True, 1)


def test_a_shadow_that_fails_or_takes_too_long_fails_nobody(endpoint, rows, call):
    async def run():
        broken = Shadow("r", endpoint("a"), endpoint("b", error=RuntimeError("no")))
        slow = Shadow("r", endpoint("a"), endpoint("b", gate=asyncio.Event()), seconds=0.02)
        for route in (broken, slow):
            await route.answer(rows, call())
            await route.settle()
        return dict(broken.counts), dict(slow.counts)

    assert asyncio.run(run()) == ({"failed": 1}, {"failed": 1})


def test_the_shadow_comes_last(endpoint, rows, call):
    async def run():
        shadow = endpoint("b")
        route = Shadow("r", endpoint("a"), shadow, share=0.25, seconds=60.0)
        for _ in range(20):
            await route.answer(rows, call(priority=3))
            await route.settle()
        return shadow.calls

    calls = asyncio.run(run())
    assert len(calls) == 5
    assert all(each.priority > 1000 for each in calls)


def test_what_the_served_model_raises_is_raised(endpoint, rows, call):
    shadow = endpoint("b")
    route = Shadow("r", endpoint("a", error=KeyError("x")), shadow)
    with pytest.raises(KeyError):
        asyncio.run(route.answer(rows, call()))
    assert shadow.calls == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (np.array([1.0, 2.0]), np.array([1.0 + 1e-9, 2.1]), [True, False]),
        (np.array([np.nan, 1.0]), np.array([np.nan, np.nan]), [True, False]),
        (np.zeros((2, 3)), np.zeros((2, 4)), [False, False]),
        (["x", None], ["x", "y"], [True, False]),
        (
            Ragged.of([np.ones(1), np.ones(2)]),
            Ragged.of([np.ones(1), np.ones(3)]),
            [True, False],
        ),
    ],
)
def test_rows_are_the_same_where_all_outputs_are(one, other, expected):
    assert same_rows(Rows({"y": one}), Rows({"y": other}), 1e-6).tolist() == expected


def test_a_wrong_share_is_an_error(endpoint):
    with pytest.raises(UsageError, match=r"expected a share in \[0, 1\], found -1"):
        Shadow("r", endpoint("a"), endpoint("b"), share=-1)


def test_one_that_is_asked_without_a_coroutine_is_copied_too(prompt, endpoint, rows, call):
    async def run():
        served, heard = prompt("a"), []
        route = Shadow("r", served, endpoint("b"), seconds=60.0)
        gone = [route.ask(rows, call(), heard.append) for _ in range(2)]
        served.tell()
        served.tell(RuntimeError("no"))
        await route.settle()
        return gone == [served.leave] * 2, [type(each) for each in heard], dict(route.counts)

    expected = True, [Answered, RuntimeError], {"same": 0, "different": 2}
    assert asyncio.run(run()) == expected
    assert Shadow("r", endpoint("a"), prompt("b")).ask(rows, call(), print) is None
