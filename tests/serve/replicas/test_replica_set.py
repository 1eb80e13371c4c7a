import asyncio
import os
import random
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tests.processes import lives, open_files

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.launcher import Housing
from gristmill.serve.replicas.partial import PartlyAnswered
from gristmill.serve.replicas.patience import Care, Patience
from gristmill.serve.replicas.replica_set import ReplicaSet
from gristmill.serve.runners.rows import Rows

HASTY = Care(least=0.5, most=1.0, ping=0.1, pong=0.5)
"""For processes that hang: a healthy one on a busy machine may be taken for one of these."""


@pytest.fixture
def hurry(monkeypatch):
    """hurry(replicas, *ranks): have those that are there now noticed soon, once they hang."""
    monkeypatch.setattr("gristmill.serve.replicas.replica_set._TICKS", 1200)

    def hurry(replicas, *ranks):
        for rank in ranks:
            process = replicas.replicas[rank].process
            process._care, process._patience = HASTY, Patience(HASTY)

    return hurry


class Load:
    """Keeps every place busy with batches and checks each answer, until told to stop."""

    def __init__(self, replicas, *, factors=(2.0,), rows=4):
        self.replicas, self.factors, self.rows = replicas, factors, rows
        self.answered = self.refused = 0
        self.last = 0.0
        self.wrong, self.stopping = [], False

    async def __aenter__(self):
        self._tasks = [asyncio.ensure_future(self._drive(each)) for each in self.replicas.replicas]
        return self

    async def __aexit__(self, *_):
        self.stopping = True
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)

    async def _drive(self, place):
        loop, number = asyncio.get_running_loop(), 0.0
        while not self.stopping:
            number += 1.0
            values, told = np.full(self.rows, number), loop.create_future()
            place.start(Rows({"x": values}), lambda *outcome, told=told: told.set_result(outcome))
            outcome, _ = await told  # a second answer would raise in the event loop
            self.take(values, outcome)
            await asyncio.sleep(0)

    def take(self, values, outcome):
        if isinstance(outcome, Rows):
            self.answered += 1
            self.last = outcome["y"][0] / values[0]
            if len(set(outcome["y"])) != 1 or self.last not in self.factors:
                self.wrong.append(outcome["y"])
        elif isinstance(outcome, PartlyAnswered | Refusal):
            self.refused += 1
        else:
            self.wrong.append(outcome)


def errors_of(run):
    """Collect what goes wrong in callbacks of the event loop."""
    loop, found = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: found.append(context))
    return found


def test_every_replica_answers(run, started, ask, numbers):
    async def test():
        replicas = await started(3)
        for place in replicas.replicas:
            assert (await ask(place, numbers(1, 2)))["y"].tolist() == [2, 4]
            assert place.answered_by == "d" * 32
        assert len(set(replicas.pids)) == 3
        health = replicas.health()
        assert (health.ready, health.alive, health.count, health.problems) == (True, 3, 3, ())
        assert replicas.name == "doubler"
        assert replicas.fingerprint == "d" * 32
        assert [field.name for field in replicas.inputs] == ["x"]
        assert [field.name for field in replicas.outputs] == ["y"]
        assert replicas.classes == ()
        assert replicas.work(numbers(1, 2)).tolist() == [1, 1]
        figures = {sample.name: sample.value for sample in replicas.samples()}
        assert figures == {
            "gristmill_replicas": 3,
            "gristmill_replicas_wanted": 3,
            "gristmill_replicas_lost_total": 0,
            "gristmill_retried_total": 0,
        }

    run(test())


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_every_batch_has_one_answer(run, started, seed):
    async def test():
        wrong = errors_of(run)
        replicas = await started(3, housing=Housing(depth=2))
        chance = random.Random(seed)
        kills = 0
        async with Load(replicas) as load:
            while kills < 25 or load.answered < 100:
                await asyncio.sleep(chance.uniform(0.0, 0.1))
                if replicas.pids:
                    kill(chance.choice(replicas.pids))
                    kills += 1
        assert load.wrong == wrong == []
        await until_alive(replicas, 3)

    run(test())


def kill(pid):
    with suppress(ProcessLookupError):  # it is dead already, and not yet known to be
        os.kill(pid, signal.SIGKILL)


async def until_alive(replicas, count):
    async with asyncio.timeout(60):
        while replicas.health().alive < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("value", [-1, -2, -5])
def test_a_row_that_kills_takes_no_other_with_it(run, started, ask, numbers, value):
    async def test():
        replicas = await started(2)
        outcome = await ask(replicas.replicas[0], numbers(1, value, 3))
        assert isinstance(outcome, PartlyAnswered)
        assert outcome.of(0, 1)["y"].tolist() == [2]
        assert outcome.of(2, 3)["y"].tolist() == [6]
        refusal = outcome.of(0, 3)
        assert (refusal.status, refusal.code) == (500, "replica_lost")
        assert replicas.health().counts.lost == 2
        await until_alive(replicas, 2)

    run(test())


def test_one_replica_alone_is_replaced_and_goes_on(run, started, ask, numbers):
    async def test():
        replicas = await started(1)
        refusal = await ask(replicas.replicas[0], numbers(-1))
        assert refusal.code == "replica_lost"
        assert (await ask(replicas.replicas[0], numbers(5)))["y"].tolist() == [10]

    run(test())


def test_a_hanging_replica_is_replaced_and_its_batch_answered(run, started, ask, numbers, hurry):
    async def test():
        replicas = await started(2)
        for place in replicas.replicas:
            await ask(place, numbers(1))
        hurry(replicas, 0)
        os.kill(replicas.pids[0], signal.SIGSTOP)
        assert (await ask(replicas.replicas[0], numbers(3)))["y"].tolist() == [6]
        assert replicas.health().counts.lost >= 1
        await until_alive(replicas, 2)

    run(test())


def test_idle_replicas_that_hang_are_replaced(run, started, hurry):
    async def test():
        replicas = await started(2)
        hurry(replicas, 0, 1)
        before = replicas.pids
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(60):
            while set(replicas.pids) & set(before):
                await asyncio.sleep(0.01)
        await until_alive(replicas, 2)

    run(test())


def test_a_row_that_hangs_is_refused(run, started, ask, numbers, hurry):
    async def test():
        replicas = await started(2)
        await ask(replicas.replicas[0], numbers(1))
        hurry(replicas, 0, 1)
        refusal = await ask(replicas.replicas[0], numbers(-3))
        assert "gave no answer in" in str(refusal)

    run(test())


def test_a_model_that_is_gone_leaves_the_others_working(run, started, ask, numbers, model):
    async def test():
        replicas = await started(2)
        shutil.rmtree(model())
        os.kill(replicas.pids[0], signal.SIGKILL)
        async with asyncio.timeout(60):
            while not replicas.health().problems:
                await asyncio.sleep(0.01)
        health = replicas.health()
        assert (health.ready, health.alive) == (True, 1)
        assert health.problems[0].startswith(
            "replica 0 cannot be started: FileNotFoundError: [Errno 2] No such file or directory"
        )
        for place in replicas.replicas:
            assert (await ask(place, numbers(4)))["y"].tolist() == [8]
        model()
        await until_alive(replicas, 2)
        assert replicas.health().problems == ()

    run(test())


def test_another_model_in_its_place_is_not_opened(run, started, model):
    async def test():
        replicas = await started(1)
        model("doubler", "e" * 32)
        os.kill(replicas.pids[0], signal.SIGKILL)
        async with asyncio.timeout(60):
            while not replicas.health().problems:
                await asyncio.sleep(0.01)
        assert f"expected model {'d' * 32}, found {'e' * 32}" in replicas.health().problems[0]
        assert not replicas.health().ready

    run(test())


def test_without_any_replica_batches_are_refused(run, started, ask, numbers, model):
    async def test():
        replicas = await started(2)
        shutil.rmtree(model())
        for pid in replicas.pids:
            os.kill(pid, signal.SIGKILL)
        refusal = await ask(replicas.replicas[1], numbers(4))
        assert (refusal.status, refusal.code) == (503, "no_replica")
        assert not replicas.health().ready

    run(test())


def test_swapping_under_load_fails_no_request(run, started, model, tmp_path, until):
    async def test():
        wrong = errors_of(run)
        replicas = await started(2, housing=Housing(depth=2))
        other = model("tripler", "e" * 32, tmp_path / "other")
        before = replicas.pids
        async with Load(replicas, factors=(2.0, 3.0)) as load:
            for target, fingerprint in ((other, "e" * 32), (model(), "d" * 32), (other, "e" * 32)):
                await asyncio.sleep(0.05)
                await replicas.swap(target)
                assert replicas.fingerprint == fingerprint
            await until(lambda: load.last == 3.0 and replicas.replicas[0].answered_by == "e" * 32)
        assert load.refused == 0
        assert load.wrong == wrong == []
        assert not any(map(lives, before))
        assert replicas.health().counts.lost == 0

    run(test())


def test_killed_and_swapped_at_once_every_batch_has_one_answer(run, started, model, tmp_path):
    async def test():
        wrong = errors_of(run)
        replicas = await started(2)
        other = model("tripler", "e" * 32, tmp_path / "other")
        chance = random.Random(3)
        async with Load(replicas, factors=(2.0, 3.0)) as load:
            for target in (other, model(), other, model()):
                for pid in replicas.pids:
                    if chance.random() < 0.5:
                        kill(pid)
                await replicas.swap(target)
        assert load.wrong == wrong == []
        await until_alive(replicas, 2)

    run(test())


def test_swapping_does_not_wait_for_what_hangs(run, started, ask, numbers, model, tmp_path, hurry):
    async def test():
        replicas = await started(2)
        await ask(replicas.replicas[0], numbers(1))
        hurry(replicas, 0)
        other = model("tripler", "e" * 32, tmp_path / "other")
        os.kill(replicas.pids[0], signal.SIGSTOP)
        asked = asyncio.ensure_future(ask(replicas.replicas[0], numbers(3)))
        await asyncio.sleep(0)
        await replicas.swap(other, drain_seconds=1000.0)
        assert (await asked)["y"].tolist() in ([6], [9])

    run(test())


@pytest.mark.parametrize("gone", [True, False])
def test_a_swap_that_fails_changes_nothing(run, started, ask, numbers, model, tmp_path, gone):
    async def test():
        replicas = await started(2)
        before = replicas.pids
        other = tmp_path / "other"
        if not gone:
            model("short", "e" * 32, other)
        with pytest.raises(ServeError):
            await replicas.swap(other, warm=numbers(1, 2))
        assert replicas.pids == before
        assert replicas.fingerprint == "d" * 32
        assert (await ask(replicas.replicas[0], numbers(4)))["y"].tolist() == [8]

    run(test())


def test_closing_answers_what_was_taken_and_refuses_the_rest(run, started, numbers):
    async def test():
        replicas = await started(2, housing=Housing(depth=2))
        pids, told = replicas.pids, []
        for place in replicas.replicas:
            for value in range(5):
                place.start(numbers(value), lambda outcome, _: told.append(outcome))
        await replicas.close(10.0)
        assert sorted(outcome["y"][0] for outcome in told) == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
        assert not any(map(lives, pids))
        late = []
        replicas.replicas[0].start(numbers(1), lambda outcome, _: late.append(outcome))
        assert (late[0].status, late[0].code) == (503, "stopping")
        assert not replicas.health().ready
        with pytest.raises(ServeError, match="the replicas were closed"):
            _ = replicas.fingerprint
        with pytest.raises(ServeError, match="the replicas are being closed"):
            await replicas.swap("anything")

    run(test())


def test_closing_does_not_wait_for_what_hangs(run, started, numbers):
    async def test():
        replicas = await started(1)
        (pid,), told = replicas.pids, []
        replicas.replicas[0].start(numbers(-3), lambda outcome, _: told.append(outcome))
        await replicas.close(0.1)
        assert told[0].status == 503
        async with asyncio.timeout(60):
            while lives(pid):
                await asyncio.sleep(0.01)

    run(test())


def test_the_last_place_to_be_closed_closes_the_set(run, started):
    async def test():
        replicas = await started(2)
        pids = replicas.pids
        await replicas.replicas[0].close()
        assert len(replicas.pids) == 2
        await replicas.replicas[1].close()
        assert not any(map(lives, pids))

    run(test())


def test_warm_rows_are_answered_before_it_is_ready(run, started, numbers):
    async def test():
        with pytest.raises(ServeError, match="ValueError: the model does not like it"):
            await started(2, warm=numbers(-6))
        with pytest.raises(ServeError, match=r"the replica process was killed \(SIGKILL\)"):
            await started(2, warm=numbers(-1))

    run(test())


@pytest.mark.parametrize(
    ("count", "housing", "said"),
    [
        (0, Housing(), "expected one replica or more, found 0"),
        (1, Housing(depth=8), "expected a depth of 1 to 7, found 8"),
        (1, Housing(depth=0), "expected a depth of 1 to 7, found 0"),
        (1, Housing(threads=0), "expected one thread or more, found 0"),
    ],
)
def test_arguments_that_make_no_sense(run, started, count, housing, said):
    with pytest.raises(UsageError, match=said):
        run(started(count, housing=housing))


def test_thousands_of_batches_leave_memory_and_files_as_they_were(run, started):
    async def test():
        replicas = await started(2)
        small, large = np.ones((4, 16)), np.ones((2, 3, 64, 64))

        async def drive(place, count):
            loop = asyncio.get_running_loop()
            for number in range(count):
                told = loop.create_future()
                x = small if number % 10 else large
                place.start(Rows({"x": x}), lambda *outcome, told=told: told.set_result(outcome))
                outcome, _ = await told
                assert outcome["y"].shape == x.shape

        async def round_of(count):
            await asyncio.gather(*(drive(place, count) for place in replicas.replicas))
            return open_files(), [private_bytes(pid) for pid in replicas.pids]

        files, memory = await round_of(500)
        for _ in range(2):
            later_files, later_memory = await round_of(500)
            assert later_files == files
        assert max(np.subtract(later_memory, memory)) < 1 << 20

    run(test())


def private_bytes(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = dict(line.split(":") for line in lines)
    return sum(int(found[key].split()[0]) for key in ("Private_Dirty", "Shared_Dirty")) * 1024


def test_a_failed_start_leaves_nothing(run, nursery, model, tmp_path):
    async def test():
        before = open_files()
        with pytest.raises(ServeError):
            await ReplicaSet.start(
                tmp_path / "nowhere", 2, opener="odd_models:doubler", nursery=nursery
            )
        assert open_files() == before

    run(test())
