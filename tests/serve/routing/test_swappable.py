import asyncio

import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.swappable import Swappable, warm_with
from gristmill.serve.watch.metrics import Sample


def test_swapping_under_load_fails_nobody(endpoint, rows, call):
    async def run():
        versions = [endpoint(f"m{n}", after=0.001) for n in range(6)]
        route = Swappable("r", versions[0], "v0", warm=warm_with(rows))
        seen, done = set(), False

        async def client():
            count = 0
            while not done:
                seen.add((await route.answer(rows, call())).model[:2])
                count += 1
            return count

        clients = [asyncio.ensure_future(client()) for _ in range(8)]

        async def answers(version):
            before = len(version.calls)
            while len(version.calls) < before + 16:
                await asyncio.sleep(0)

        await answers(versions[0])
        for number, version in enumerate(versions[1:], 1):
            await route.swap(version, f"v{number}")
            await answers(version)
        assert await route.roll_back() == "v4"
        await answers(versions[4])
        done = True
        counts = await asyncio.gather(*clients)
        await route.close()
        return versions, seen, sum(counts), route

    versions, seen, count, route = asyncio.run(run())
    assert seen == {f"m{n}" for n in range(6)}
    assert count > 50
    assert all(version.closed for version in versions)
    assert (route.version, route.swaps) == ("v4", 6)


def test_a_new_one_is_warm_before_its_first_request(endpoint, rows):
    async def run():
        fresh = endpoint("b")
        route = Swappable("r", endpoint("a"), warm=warm_with(rows, times=3))
        await route.swap(fresh)
        return [each.request_id for each in fresh.calls]

    assert asyncio.run(run()) == ["warm-0", "warm-1", "warm-2"]


def test_one_that_does_not_get_warm_is_not_taken(endpoint, rows, call, page):
    async def run():
        broken = endpoint("b", error=RuntimeError("out of memory"))
        route = Swappable("r", endpoint("a"), "v1", warm=warm_with(rows))
        with pytest.raises(ServeError) as caught:
            await route.swap(broken, "v2")
        found = await route.answer(rows, call())
        return str(caught.value), broken.closed, found.model[0], page(route)

    message, closed, model, figures = asyncio.run(run())
    assert message == (
        "route 'r': the new model fails before its first request: out of memory\n"
        "  fix: the old one goes on answering; look at the new bundle"
    )
    assert (closed, model) == (True, "a")
    assert figures == {
        "gristmill_route_version_info{r,v1}": 1.0,
        "gristmill_route_swaps_total{r}": 0,
        "gristmill_route_failed_swaps_total{r}": 1,
    }


def test_one_that_is_asked_something_else_is_not_taken(endpoint):
    async def run():
        other = endpoint("b")
        other.classes = ("x", "y")
        await Swappable("r", endpoint("a")).swap(other)

    with pytest.raises(ServeError, match="'b' knows classes x, y, but 'a' ham, spam"):
        asyncio.run(run())


def test_the_old_one_ends_what_it_answers_before_it_is_closed(endpoint, rows, call):
    async def run():
        gate = asyncio.Event()
        old = endpoint("a", gate=gate)
        route = Swappable("r", old, keep_previous=False)
        asked = asyncio.ensure_future(route.answer(rows, call()))
        await asyncio.sleep(0)
        swap = asyncio.ensure_future(route.swap(endpoint("b")))
        await asyncio.sleep(0.01)
        assert (await route.answer(rows, call())).model[0] == "b"
        assert not old.closed
        assert not swap.done()
        gate.set()
        await swap
        return (await asked).model[0], old.closed

    assert asyncio.run(run()) == ("a", True)


def test_one_that_drags_on_does_not_hold_up_the_swap_for_ever(endpoint, rows, call):
    async def run():
        old = endpoint("a", gate=asyncio.Event())
        route = Swappable("r", old, drain_seconds=0.01)
        asked = asyncio.ensure_future(route.answer(rows, call()))
        await asyncio.sleep(0)
        await route.swap(endpoint("b"), "v2")
        asked.cancel()
        return route.version

    assert asyncio.run(run()) == "v2"


def test_going_back_twice_is_going_on(endpoint, rows, call):
    async def run():
        first, second = endpoint("a"), endpoint("b")
        route = Swappable("r", first, "v1")
        with pytest.raises(ServeError, match="there is no earlier version to go back to"):
            await route.roll_back()
        await route.swap(second, "v2")
        assert (route.version, route.previous) == ("v2", "v1")
        assert await route.roll_back() == "v1"
        assert (await route.answer(rows, call())).model[0] == "a"
        assert await route.roll_back() == "v2"
        await route.swap(endpoint("c"), "v3")
        return first.closed, second.closed

    assert asyncio.run(run()) == (True, False)


@pytest.mark.parametrize("keep", [True, False])
def test_counters_never_go_down(endpoint, rows, call, page, keep):
    class Counting(endpoint):
        def samples(self):
            labels = {"model": "m"}
            yield Sample("rows_total", "counter", "Rows.", labels, float(len(self.calls)))
            yield Sample("waiting", "gauge", "Rows.", labels, float(len(self.name)))

    async def run():
        route = Swappable("r", Counting("a"), keep_previous=keep)
        seen = []
        for number in range(1, 7):
            await route.answer(rows, call())
            figures = page(route)
            seen.append((figures["rows_total{m}"], figures["waiting{m}"]))
            if keep and number % 3 == 0:
                await route.roll_back()
            else:
                await route.swap(Counting("a" * (number + 1)))
        return seen

    waiting = [1, 2, 3, 2, 5, 6] if keep else [1, 2, 3, 4, 5, 6]
    assert asyncio.run(run()) == [(at + 1, each) for at, each in enumerate(waiting)]


def test_an_exchange_that_is_called_off_leaves_nothing_open(endpoint, rows, call):
    async def run():
        gate = asyncio.Event()
        old, busy, new = endpoint("a"), endpoint("b", gate=gate), endpoint("c")
        route = Swappable("r", old)
        await route.swap(busy)
        asked = asyncio.ensure_future(route.answer(rows, call()))
        await asyncio.sleep(0)
        swap = asyncio.ensure_future(route.swap(new))
        while route.swaps < 2:
            await asyncio.sleep(0)
        swap.cancel()
        await asyncio.gather(swap, return_exceptions=True)
        seen = old.closed, busy.closed, new.closed
        gate.set()
        await asked
        await route.close()
        return seen, (old.closed, busy.closed, new.closed)

    assert asyncio.run(run()) == ((True, False, False), (True, True, True))


def test_one_that_is_called_off_before_its_turn_is_closed(endpoint, rows, call):
    async def run():
        gate = asyncio.Event()
        first, second, third = endpoint("a", gate=gate), endpoint("b"), endpoint("c")
        route = Swappable("r", first)
        asked = asyncio.ensure_future(route.answer(rows, call()))
        await asyncio.sleep(0)
        swap = asyncio.ensure_future(route.swap(second))
        waits = asyncio.ensure_future(route.swap(third))
        while route.members[0] is not second:
            await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        gate.set()
        await swap
        await asked
        return route.members[0].name, third.closed, route.failed_swaps

    assert asyncio.run(run()) == ("b", True, 0)


async def swapping(route, new):
    """Begin to swap; return once what is new answers, be the old one idle or not."""
    swap = asyncio.ensure_future(route.swap(new))
    while route.members[0] is not new:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return swap


def test_what_was_asked_without_a_coroutine_is_ended_before_the_old_one_is_closed(
    prompt, rows, call
):
    async def run():
        old, new, heard = prompt("a"), prompt("b"), []
        route = Swappable("r", old, keep_previous=False)
        for _ in range(2):
            assert route.ask(rows, call(), heard.append) is not None
        swap = await swapping(route, new)
        route.ask(rows, call(), heard.append)
        assert (len(old.asked), len(new.asked), old.closed) == (2, 1, False)
        old.tell()
        await asyncio.sleep(0)
        assert not swap.done()
        old.tell(RuntimeError("no"))
        await swap
        return [type(each).__name__ for each in heard], old.closed

    assert asyncio.run(run()) == (["Answered", "RuntimeError"], True)


def test_who_does_not_wait_any_more_holds_up_no_swap(prompt, rows, call):
    async def run():
        old = prompt("a")
        route = Swappable("r", old, keep_previous=False)
        gone = route.ask(rows, call(), print)
        gone()
        gone()
        await (await swapping(route, prompt("b")))
        return old.left, old.closed

    assert asyncio.run(run()) == (2, True)


def test_what_was_refused_or_cannot_be_asked_so_holds_up_no_swap(prompt, endpoint, rows, call):
    async def run():
        full = prompt("a", error=Refusal(503, "queue_full", "no"))
        route = Swappable("r", full, keep_previous=False)
        with pytest.raises(Refusal):
            route.ask(rows, call(), print)
        for other in (prompt("b", says_no=True), endpoint("c"), prompt("d")):
            assert (await (await swapping(route, other))) is None
            asked = route.ask(rows, call(), print)
        assert asked is not None
        return full.closed

    assert asyncio.run(run())
