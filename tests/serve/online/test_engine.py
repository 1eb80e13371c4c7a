import asyncio
import time

import numpy as np
import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.online.asked import Asked
from gristmill.serve.online.engine import Engine
from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.partial import PartlyAnswered
from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.bounds import Bounds


@pytest.fixture
def make_engine():
    def make(*replicas, on_batch=None, clock=time.monotonic, **bounds):
        return Engine(replicas, Bounds(**bounds), clock=clock, on_batch=on_batch)

    return make


def asked(rows, seconds=60.0, since=None):
    now = time.monotonic() if since is None else since
    return Asked(rows, np.ones(rows.count), now + seconds)


def test_what_comes_while_the_model_is_busy_is_the_next_batch(make_engine, held, rows, turns):
    async def run():
        told, replica = [], held()
        engine = make_engine(replica, on_batch=lambda count, seconds: told.append((count, seconds)))
        first = engine.submit(asked(rows(1)))
        await turns()
        others = [engine.submit(asked(rows(n))) for n in (2, 3)]
        await turns()
        assert (len(replica.held), engine.waiting) == (1, 2)
        replica.release(seconds=0.5)
        await turns()
        replica.release()
        assert [(await each)["y"].tolist() for each in (first, *others)] == [[1], [4], [9]]
        await engine.close()
        return told, engine.tally, replica.closed

    told, tally, closed = asyncio.run(run())
    assert told == [(1, 0.5), (2, 0.001)]
    assert (tally.answered, tally.batches, tally.rows, closed) == (3, 2, 3, True)


def test_every_free_replica_gets_a_share(make_engine, held, rows, turns):
    async def run():
        replicas = [held(rank=0), held(rank=1)]
        engine = make_engine(*replicas)
        for rank in (0, 1):
            engine.scheduler.observe(rank, 1.0, 2.0)
            engine.scheduler.observe(rank, 9.0, 10.0)
        futures = [engine.submit(asked(rows(n))) for n in range(4)]
        await turns()
        sizes = [replica.held[0][0].count for replica in replicas]
        for replica in replicas:
            replica.release()
        answers = [(await each)["y"].tolist() for each in futures]
        await engine.close()
        return sizes, answers

    assert asyncio.run(run()) == ([2, 2], [[0], [1], [4], [9]])


def test_a_deep_replica_holds_several_batches(make_engine, held, rows, turns):
    async def run():
        replica = held(depth=2)
        engine = make_engine(replica, batch_rows=1)
        futures = [engine.submit(asked(rows(n))) for n in range(3)]
        await turns()
        depth = len(replica.held)
        while replica.held:
            replica.release()
            await turns()
        await asyncio.gather(*futures)
        await engine.close()
        return depth

    assert asyncio.run(run()) == 2


def test_nobody_waits_past_the_deadline_for_a_model_that_hangs(make_engine, held, rows, turns):
    async def run():
        replica, now = held(), time.monotonic()
        engine = make_engine(replica, clock=lambda: now)
        stuck = engine.submit(asked(rows(1)))
        await turns()
        waits = engine.submit(asked(rows(2), 0.02, since=now))
        await turns()
        assert not waits.done()
        now += 0.03
        with pytest.raises(Refusal) as refused:
            await waits
        late = engine.submit(asked(rows(3)))
        replica.release()
        await turns()
        replica.release()
        await asyncio.gather(stuck, late)
        await engine.close()
        return refused.value, engine.tally

    refused, tally = asyncio.run(run())
    assert (refused.status, refused.code) == (503, "overloaded")
    assert refused.headers[0][0] == "Retry-After"
    assert (tally.answered, tally.refused) == (2, {"overloaded": 1})


def test_the_bytes_of_a_long_queue_are_bounded(make_engine, held, rows, turns):
    async def run():
        replica = held()
        engine = make_engine(replica, batch_rows=1, queue_bytes=20)
        futures = [engine.submit(asked(rows(1)))]
        await turns()
        futures += [engine.submit(asked(rows(n))) for n in (2, 3, 4)]
        counted = engine.scheduler.queue.nbytes
        with pytest.raises(Refusal, match=r"^the queue is full"):
            engine.submit(asked(rows(5)))
        while replica.held:
            replica.release()
            await turns()
        await asyncio.gather(*futures)
        await engine.close()
        return counted, engine.scheduler.queue.nbytes

    assert asyncio.run(run()) == (16, 0)


def test_a_late_answer_is_given_and_counted(make_engine, held, rows, turns):
    async def run():
        replica, now = held(), time.monotonic()
        engine = make_engine(replica, clock=lambda: now)
        future = engine.submit(asked(rows(2), 1.0))
        await turns()
        now += 60.0
        replica.release()
        await engine.close()
        return (await future)["y"].tolist(), engine.tally.late

    assert asyncio.run(run()) == ([4], 1)


def test_a_client_that_left_is_not_computed_for(make_engine, held, runner, rows, turns):
    async def run():
        replica = held()
        engine = make_engine(replica)
        engine.submit(asked(rows(1)))
        await turns()
        gone, stays = asked(rows(2)), asked(rows(3))
        engine.submit(gone).cancel()
        engine.withdraw(gone)
        future = engine.submit(stays)
        replica.release()
        await turns()
        replica.release()
        await future
        await engine.close()

    asyncio.run(run())
    assert runner.batches == [[1], [3]]


def test_all_that_waits_is_answered_before_it_closes(make_engine, held, rows, turns):
    async def run():
        replica = held()
        engine = make_engine(replica, batch_rows=1)
        futures = [engine.submit(asked(rows(n))) for n in (1, 2)]
        await turns()
        closing = asyncio.ensure_future(engine.close())
        await turns()
        with pytest.raises(Refusal, match=r"^the server is stopping$"):
            engine.submit(asked(rows(3)))
        assert not replica.closed
        for _ in futures:
            replica.release()
            await turns()
        await closing
        await engine.close()  # once more does nothing
        return [(await each)["y"].tolist() for each in futures], replica.closed

    assert asyncio.run(run()) == ([[1], [4]], True)


def test_what_is_not_done_in_time_is_refused_when_it_closes(make_engine, held, rows, turns):
    async def run():
        engine = make_engine(held(), batch_rows=1)
        futures = [engine.submit(asked(rows(n))) for n in (1, 2)]
        await turns()
        await engine.close(0.01)
        return futures

    running, waiting = asyncio.run(run())
    assert waiting.exception().code == "stopping"
    assert running.exception().code == "stopping"


@pytest.mark.parametrize("error", [Refusal(503, "gone", "the replica is gone"), None])
def test_a_refusal_of_a_replica_is_for_all_and_nothing_runs_again(
    make_engine, held, runner, rows, turns, error
):
    async def run():
        replica = held()
        engine = make_engine(replica)
        futures = [engine.submit(asked(rows(*each))) for each in ([1], [2, 3])]
        await turns()
        answers = [runner(rows(1)), runner(rows(2)), ServeError("row 3 kills")]
        replica.release(error or PartlyAnswered(answers))
        found = await asyncio.gather(*futures, return_exceptions=True)
        await engine.close()
        return found, replica.held

    found, held_back = asyncio.run(run())
    assert held_back == []
    if error:
        assert [each.code for each in found] == ["gone", "gone"]
    else:
        assert found[0]["y"].tolist() == [1]
        assert str(found[1]) == "row 3 kills"


def test_a_request_whose_part_fails_is_answered_once(make_engine, held, runner, rows, turns):
    async def run():
        replica = held()
        engine = make_engine(replica, batch_rows=2)
        future = engine.submit(asked(rows(1, 2, 3, 4, 5)))
        await turns()
        replica.release(ValueError("broken"))
        await turns()
        with pytest.raises(ValueError, match=r"^broken$"):
            await future
        left = engine.waiting
        await engine.close()
        return left, replica.held

    assert asyncio.run(run()) == (0, [])


def test_answers_of_a_batch_are_looked_at_once_for_numbers_that_are_none(
    make_engine, held, rows, turns
):
    async def run(*values):
        replica = held()
        engine = make_engine(replica)
        futures = [engine.submit(asked(rows(1))) for _ in values]
        await turns()
        replica.release(Rows({"y": np.array(values)}))
        found = [(await each).finite for each in futures]
        await engine.close()
        return found

    assert asyncio.run(run(1.0, 2.0)) == [True, True]
    assert asyncio.run(run(1.0, np.nan)) == [False, False]
    assert asyncio.run(run(1.0)) == [False]  # left to whoever sends it
