import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import ServeError
from gristmill.serve.batcher import Batcher
from gristmill.serve.refusal import Refusal

REQUEST = st.tuples(
    st.integers(0, 9),  # items
    st.integers(0, 3),  # turns of the loop before it comes
    st.sampled_from(["plain", "plain", "plain", "poisoned", "cancelled"]),
)


class Gate:
    """A batch function that waits at a closed gate and remembers what passed."""

    def __init__(self):
        self.opened, self.entered, self.batches = threading.Event(), threading.Event(), []

    def __call__(self, items):
        self.batches.append(list(items))
        self.entered.set()
        if not self.opened.wait(10):
            raise TimeoutError("the test never opened the gate")
        return [item * 10 for item in items]


def double(items):
    return [item * 2 for item in items]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@settings(max_examples=80, deadline=None)
@given(st.lists(REQUEST, max_size=25), st.integers(1, 7))
def test_every_request_gets_its_own_answers_in_order(requests, max_batch):
    ran = []

    def run(items):
        ran.append(list(items))
        if any(poisoned for _, _, poisoned in items):
            raise ValueError("poison")
        return [("answer", number, row) for number, row, _ in items]

    async def request(batcher, number, size, delay, fate):
        for _ in range(delay):
            await asyncio.sleep(0)
        items = [(number, row, fate == "poisoned" and row == size // 2) for row in range(size)]
        task = asyncio.ensure_future(batcher.submit(items))
        if fate == "cancelled":
            await asyncio.sleep(0)
            task.cancel()
        return await task

    async def everything():
        batcher = Batcher(run, max_batch=max_batch, deadline=60)
        tasks = (request(batcher, number, *asked) for number, asked in enumerate(requests))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.close()
        assert batcher.waiting == 0
        return results

    for number, result in enumerate(asyncio.run(everything())):
        size, _, fate = requests[number]
        if fate == "poisoned" and size:
            assert isinstance(result, ValueError)
        elif fate != "cancelled" or not isinstance(result, asyncio.CancelledError):
            assert result == [("answer", number, row) for row in range(size)]
    assert all(len(batch) <= max_batch for batch in ran)


@given(st.lists(st.integers(1, 12), max_size=12), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_items_run_once_each_in_the_order_they_came_in_full_batches(sizes, max_batch):
    ran = []

    def run(items):
        ran.append(list(items))
        return items

    async def everything():
        batcher = Batcher(run, max_batch=max_batch)
        starts = [sum(sizes[:at]) for at in range(len(sizes))]
        requests = (
            batcher.submit(range(start, start + size))
            for start, size in zip(starts, sizes, strict=True)
        )
        await asyncio.gather(*requests)
        await batcher.close()

    asyncio.run(everything())
    assert [item for batch in ran for item in batch] == list(range(sum(sizes)))
    assert all(len(batch) == max_batch for batch in ran[:-1])


def test_an_idle_model_starts_at_once_and_what_comes_meanwhile_runs_together():
    gate = Gate()

    async def everything():
        batcher = Batcher(gate, max_batch=8)
        first = asyncio.ensure_future(batcher.submit([1]))
        await until(gate.entered.is_set)
        others = [asyncio.ensure_future(batcher.submit([n])) for n in (2, 3, 4)]
        await until(lambda: batcher.waiting == 3)
        gate.opened.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(everything()) == [[10], [20], [30], [40]]
    assert gate.batches == [[1], [2, 3, 4]]


def test_requests_of_one_turn_share_a_batch():
    sizes = []

    async def everything():
        batcher = Batcher(double, on_batch=lambda size, seconds: sizes.append((size, seconds >= 0)))
        return await asyncio.gather(*(batcher.submit([n]) for n in range(5)))

    assert asyncio.run(everything()) == [[0], [2], [4], [6], [8]]
    assert sizes == [(5, True)]


def test_no_items_need_no_batch():
    assert asyncio.run(Batcher(double).submit([])) == []


def test_only_the_request_that_breaks_the_model_fails():
    def run(items):
        if 13 in items:
            raise ValueError("thirteen")
        return double(items)

    async def everything():
        batcher = Batcher(run)
        asked = (batcher.submit(items) for items in ([1, 2], [12, 13], [3]))
        return await asyncio.gather(*asked, return_exceptions=True)

    good, bad, last = asyncio.run(everything())
    assert (good, last) == ([2, 4], [6])
    assert repr(bad) == "ValueError('thirteen')"


def test_a_model_that_loses_answers_is_found_out():
    with pytest.raises(ServeError) as caught:
        asyncio.run(Batcher(lambda items: items[1:]).submit([1, 2, 3]))
    assert caught.value.message == "the model gave 2 answers to 3 records"


def test_a_full_queue_refuses():
    gate = Gate()

    async def everything():
        batcher = Batcher(gate, max_queue=3)
        first = asyncio.ensure_future(batcher.submit([0]))
        await until(gate.entered.is_set)
        second = asyncio.ensure_future(batcher.submit([1, 2]))
        await until(lambda: batcher.waiting == 2)
        with pytest.raises(Refusal) as caught:
            await batcher.submit([3, 4])
        third = asyncio.ensure_future(batcher.submit([5]))
        await until(lambda: batcher.waiting == 3)
        gate.opened.set()
        return caught.value, await asyncio.gather(first, second, third)

    refusal, answers = asyncio.run(everything())
    assert answers == [[0], [10, 20], [50]]
    assert (refusal.status, refusal.code) == (503, "queue_full")
    assert refusal.message == "2 records wait; with 2 more the queue would pass its bound of 3"
    assert refusal.headers == (("Retry-After", "1"),)


def test_a_wait_longer_than_the_deadline_is_refused_at_the_door():
    gate = Gate()

    async def everything():
        batcher = Batcher(gate, max_batch=2, deadline=3.5, clock=lambda: 100.0)
        batcher.latency.observe(2, 2.0)
        tasks = [asyncio.ensure_future(batcher.submit([0, 1]))]
        await until(gate.entered.is_set)
        assert batcher.estimated_wait() == 2.0
        tasks.append(asyncio.ensure_future(batcher.submit([2, 3])))
        await until(lambda: batcher.waiting == 2)
        assert batcher.estimated_wait() == 4.0
        with pytest.raises(Refusal) as caught:
            await batcher.submit([4])
        gate.opened.set()
        await asyncio.gather(*tasks)
        return caught.value

    refusal = asyncio.run(everything())
    assert (refusal.status, refusal.code) == (503, "overloaded")
    assert refusal.message == "a request would wait about 4 s now, longer than the 3.50 s allowed"
    assert refusal.headers == (("Retry-After", "4"),)


def test_an_idle_server_takes_a_request_however_slow_the_model_is():
    async def everything():
        batcher = Batcher(double, deadline=0.5)
        batcher.latency.observe(1, 1000.0)
        return await batcher.submit([21])

    assert asyncio.run(everything()) == [42]


def test_what_waited_past_the_deadline_is_refused_even_while_the_model_hangs():
    gate = Gate()

    async def everything():
        batcher = Batcher(gate, deadline=0.05)
        first = asyncio.ensure_future(batcher.submit([1]))
        await until(gate.entered.is_set)
        with pytest.raises(Refusal) as caught:
            await batcher.submit([2])
        assert batcher.waiting == 0
        gate.opened.set()
        return caught.value, await first

    refusal, answer = asyncio.run(everything())
    assert answer == [10]
    assert gate.batches == [[1]]
    assert (refusal.status, refusal.code) == (503, "overloaded")
    assert refusal.message.startswith("the request waited ")


def test_a_cancelled_request_leaves_the_queue():
    gate = Gate()

    async def everything():
        batcher = Batcher(gate)
        first = asyncio.ensure_future(batcher.submit([1]))
        await until(gate.entered.is_set)
        second = asyncio.ensure_future(batcher.submit([2, 3]))
        await until(lambda: batcher.waiting == 2)
        second.cancel()
        await until(lambda: second.done())
        assert batcher.waiting == 0
        gate.opened.set()
        return await first

    assert asyncio.run(everything()) == [10]
    assert gate.batches == [[1]]


def test_closing_answers_what_waits_and_refuses_what_comes():
    gate = Gate()

    async def everything():
        batcher = Batcher(gate, max_batch=1)
        tasks = [asyncio.ensure_future(batcher.submit([n])) for n in (1, 2)]
        await until(gate.entered.is_set)
        closing = asyncio.ensure_future(batcher.close())
        await until(lambda: batcher.closing)
        with pytest.raises(Refusal) as caught:
            await batcher.submit([3])
        gate.opened.set()
        await closing
        assert all(task.done() for task in tasks)
        return caught.value, await asyncio.gather(*tasks)

    refusal, answers = asyncio.run(everything())
    assert answers == [[10], [20]]
    assert (refusal.status, refusal.code) == (503, "stopping")


def test_closing_does_not_wait_for_ever_for_a_model_that_hangs():
    gate = Gate()

    async def everything():
        batcher = Batcher(gate)
        stuck = asyncio.ensure_future(batcher.submit([1]))
        await until(gate.entered.is_set)
        await batcher.close(seconds=0.01)
        assert not stuck.done()
        gate.opened.set()
        return await stuck

    assert asyncio.run(everything()) == [10]
