import asyncio
import threading

import numpy as np
import pytest

from gristmill.serve.online import in_process
from gristmill.serve.online.in_process import InlineReplica, ThreadReplica, local_replica


def outcome_of(replica, asked):
    async def run():
        future = asyncio.get_running_loop().create_future()
        replica.start(asked, lambda outcome, seconds: future.set_result((outcome, seconds)))
        found = await future
        await replica.close()
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("kind", [InlineReplica, ThreadReplica])
def test_it_answers(kind, runner, rows):
    outcome, seconds = outcome_of(kind(runner, 3), rows(1, 2))
    assert outcome["y"].tolist() == [1, 4]
    assert seconds >= 0.0


@pytest.mark.parametrize("kind", [InlineReplica, ThreadReplica])
def test_it_hands_on_what_the_model_raises(kind, runner, rows):
    outcome, _ = outcome_of(kind(runner), rows(-1))
    assert str(outcome) == "negative: -1"


def test_a_thread_leaves_the_loop_alone_and_ends(rows):
    started, go = threading.Event(), threading.Event()

    def slow(asked):
        started.set()
        assert go.wait(60)
        return asked

    async def run():
        replica = ThreadReplica(slow, 7)
        done = asyncio.Event()
        replica.start(rows(1), lambda *_: done.set())
        while not started.is_set():
            await asyncio.sleep(0.001)
        names = {thread.name for thread in threading.enumerate()}
        go.set()
        await done.wait()
        await replica.close()
        return names

    assert "gristmill-replica-7" in asyncio.run(run())


def test_a_thread_that_was_never_needed_is_never_started():
    before = set(threading.enumerate())
    asyncio.run(ThreadReplica(lambda rows: rows).close())
    assert set(threading.enumerate()) <= before


class Slow:
    """Takes long from a number of rows on, by its clock; notes in which thread it ran."""

    def __init__(self, many):
        self.many, self.threads, self.now = many, [], 0.0

    def perf_counter(self):
        return self.now

    def work(self, asked):
        return np.ones(asked.count)

    def __call__(self, asked):
        self.threads.append(threading.current_thread().name)
        self.now += 0.002 if asked.count >= self.many else 0.0001
        return asked


@pytest.fixture
def slow(monkeypatch):
    """slow(many): a model by whose clock its runs are timed."""

    def make(many):
        made = Slow(many)
        monkeypatch.setattr(in_process, "time", made)
        return made

    return make


@pytest.mark.parametrize(("many", "kind"), [(9, InlineReplica), (4, ThreadReplica)])
def test_fast_models_run_inline_and_slow_ones_in_a_thread(rows, slow, many, kind):
    assert isinstance(local_replica(slow(many), rows(1), 4), kind)


@pytest.mark.parametrize(
    ("many", "asked", "inline"), [(4, (1,), True), (4, (1, 2), False), (1, (1,), False)]
)
def test_of_a_slow_model_only_what_is_quick_runs_inline(rows, slow, many, asked, inline):
    runner = slow(many)
    replica = local_replica(runner, rows(1), 4)
    outcome_of(replica, rows(*asked))
    assert (runner.threads[-1] == threading.current_thread().name) is inline


def test_what_the_model_raises_on_a_sample_is_raised(runner, rows):
    with pytest.raises(ValueError, match="negative: -1"):
        local_replica(runner, rows(-1), 4)
