import asyncio

import pytest

from gristmill.serve.online.cache import AnswerCache
from gristmill.serve.online.deduplication import Deduplication


class Model:
    """Computes when it is let; fails on demand."""

    def __init__(self, runner):
        self.runner, self.go, self.fail = runner, asyncio.Event(), False

    async def __call__(self, rows):
        await self.go.wait()
        if self.fail:
            self.fail = False
            raise ValueError("no")
        return self.runner(rows)


def answers(found):
    return found[0]["y"].tolist(), found[1]


def test_identical_rows_in_flight_are_computed_once(runner, rows, turns):
    async def run():
        model, dedup = Model(runner), Deduplication(AnswerCache(0))
        tasks = [
            asyncio.ensure_future(dedup.answer(each, b"", model))
            for each in (rows(1, 2), rows(2, 3), rows(3), rows(2, 2))
        ]
        await turns()
        model.go.set()
        return [answers(each) for each in await asyncio.gather(*tasks)]

    assert asyncio.run(run()) == [([1, 4], 0), ([4, 9], 1), ([9], 1), ([4, 4], 2)]
    assert runner.batches == [[1, 2], [3]]


def test_with_no_bytes_to_keep_them_they_are_computed_again(runner, rows):
    async def run():
        model, dedup = Model(runner), Deduplication(AnswerCache(0))
        model.go.set()
        for _ in range(2):
            await dedup.answer(rows(1), b"", model)

    asyncio.run(run())
    assert runner.batches == [[1], [1]]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_whoever_waited_for_one_that_came_to_nothing_computes_it(runner, rows, turns, how):
    async def run():
        model, cache = Model(runner), AnswerCache(10_000)
        dedup = Deduplication(cache)
        leader = asyncio.ensure_future(dedup.answer(rows(1), b"", model))
        await turns()
        follower = asyncio.ensure_future(dedup.answer(rows(1), b"", model))
        await turns()
        if how == "fails":
            model.fail = True
        else:
            leader.cancel()
        model.go.set()
        outcome = (await asyncio.gather(leader, return_exceptions=True))[0]
        found = answers(await follower)
        return type(outcome), found, len(cache), cache.get(b"") is None

    kind, found, kept, _ = asyncio.run(run())
    assert kind is (ValueError if how == "fails" else asyncio.CancelledError)
    assert (found, kept) == (([1], 0), 1)
    assert runner.batches == [[1]]


def test_a_failed_computation_leaves_nothing_behind(runner, rows):
    async def run():
        model, cache = Model(runner), AnswerCache(10_000)
        dedup = Deduplication(cache)
        model.fail = True
        model.go.set()
        with pytest.raises(ValueError, match=r"^no$"):
            await dedup.answer(rows(1), b"", model)
        return len(cache), answers(await dedup.answer(rows(1), b"", model))

    assert asyncio.run(run()) == (0, ([1], 0))


def test_patience_ends(runner, rows, turns):
    async def run():
        model, dedup = Model(runner), Deduplication(AnswerCache(0))
        leader = asyncio.ensure_future(dedup.answer(rows(1), b"", model))
        await turns()
        with pytest.raises(TimeoutError):
            await dedup.answer(rows(1), b"", model, 0.001)
        model.go.set()
        return answers(await leader)

    assert asyncio.run(run()) == ([1], 0)
