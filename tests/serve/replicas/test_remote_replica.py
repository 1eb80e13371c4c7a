import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from tests.processes import lives, open_files

from gristmill.core.errors import ServeError
from gristmill.serve.replicas.arena import KEPT_BYTES
from gristmill.serve.replicas.messages import Opening
from gristmill.serve.replicas.patience import Care, Patience
from gristmill.serve.replicas.remote_replica import RemoteReplica
from gristmill.serve.replicas.task import Task
from gristmill.serve.runners.rows import Ragged, Rows

CARE = Care(least=0.3, slack=1.0, most=0.3, ping=0.05, pong=0.2)
PATIENT = Care(least=60.0, most=60.0, ping=0.05, pong=60.0)


@pytest.fixture
def launch(run, nursery, model):
    """Open a model in a process of its own; what was lost is noted in `lost`."""
    made = []

    async def start(name="doubler", *, slots=1, care=PATIENT, memory=0):
        process = RemoteReplica(await nursery.fork(), slots, care, Patience(care))
        made.append(process)
        await process.open(Opening("odd_models:doubler", str(model(name)), 1, memory))
        process.lost = []
        process.on_lost = lambda *told: process.lost.append(told)
        return process

    yield start

    async def close():
        for process in made:
            await process.end(0.0)

    run(close())


async def answer(process, rows):
    told = asyncio.get_running_loop().create_future()
    process.run(Task(rows, lambda *outcome: told.set_result(outcome)))
    outcome, seconds = await told
    return outcome, seconds


def numbered(*shape):
    return Rows({"x": np.arange(float(np.prod(shape))).reshape(shape)})


@pytest.mark.parametrize(
    "shape", [(1,), (3, 5), (1, 16), (2, 3, 64, 64), (40, 3, 64, 64), (2, 0)], ids=str
)
def test_arrays_of_any_size_are_answered(run, launch, shape):
    async def test():
        process = await launch()
        rows = numbered(*shape)
        for _ in range(2):
            found, seconds = await answer(process, rows)
            assert found["y"].tolist() == (2 * rows["x"]).tolist()
            assert seconds > 0

    run(test())


@pytest.mark.parametrize(
    "column",
    [
        ["a", "text", "é" * 100_000],
        [None, 1, 2.5, True, "x", [1, 2]],
        Ragged.of([np.arange(n) for n in (3, 0, 5000)]),
    ],
    ids=["texts", "mixed", "ragged"],
)
def test_other_columns_are_answered(run, launch, column):
    async def test():
        process = await launch()
        found, _ = await answer(process, Rows({"x": column}))
        if isinstance(column, Ragged):
            assert (found["y"].values == column.values).all()
            assert (found["y"].offsets == column.offsets).all()
        else:
            assert found["y"] == column

    run(test())


def test_an_answer_is_not_overwritten_by_the_next_one(run, launch):
    async def test():
        process = await launch()
        first, _ = await answer(process, numbered(9000))
        before = first["y"].copy()
        await answer(process, Rows({"x": np.full(9000, 77.0)}))
        assert (first["y"] == before).all()

    run(test())


def test_the_models_error_is_told_and_ends_nothing(run, launch, numbers):
    async def test():
        process = await launch()
        error, _ = await answer(process, numbers(-6))
        assert isinstance(error, ServeError)
        assert str(error) == "ValueError: the model does not like it"
        found, _ = await answer(process, numbers(4))
        assert found["y"].tolist() == [8]

    run(test())


def test_an_answer_of_another_length_is_an_error(run, launch, numbers):
    async def test():
        process = await launch("short")
        error, _ = await answer(process, numbers(1, 2))
        assert str(error) == "the model gave 1 answers to 2 rows"

    run(test())


def test_what_cannot_travel_is_an_error(run, launch):
    async def test():
        process = await launch()
        error, _ = await answer(process, Rows({"x": [object()]}))
        assert "rows cannot be handed to another process" in str(error)
        assert process.has_room

    run(test())


def test_batches_are_answered_in_order_and_no_more_than_there_is_room_for(run, launch, numbers):
    async def test():
        process = await launch(slots=2)
        told = []
        for value in (1, 2):
            assert process.has_room
            process.run(Task(numbers(value), lambda outcome, _: told.append(outcome["y"][0])))
        assert not process.has_room
        await process.end(10.0)
        assert told == [2, 4]
        assert process.lost == []

    run(test())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "was killed (SIGKILL)"),
        (-2, "crashed in native code (SIGSEGV) at File"),
        (-3, "gave no answer in 300 ms and was killed"),
        (-4, "gave no answer in 300 ms and was killed"),
        (-5, "ended by itself (exit code 3)"),
    ],
)
def test_a_batch_that_ends_the_process_is_lost_with_those_behind_it(
    run, launch, numbers, until, value, reason
):
    async def test():
        hangs = reason.startswith("gave no answer")
        process = await launch(slots=2, care=CARE if hangs else PATIENT)
        tasks = [Task(numbers(each), lambda *_: None) for each in (value, 1.0)]
        for task in tasks:
            process.run(task)
        if hangs:  # which it does from when it has begun
            await until(lambda: process._mark.number == process._running[0].number)
        await ticking(process, until)
        ((found, undone, began),) = process.lost
        assert reason in found
        assert undone == tasks
        assert began
        assert not process.has_room
        await until(lambda: not lives(process.pid))

    run(test())


async def ticking(process, until):
    """Let time go on until the process is lost."""

    def looked():
        process.tick(asyncio.get_running_loop().time())
        return process.lost

    await until(looked)


def test_one_that_is_silent_without_work_is_noticed(run, launch, until):
    async def test():
        process = await launch(care=CARE)
        os.kill(process.pid, signal.SIGSTOP)
        await ticking(process, until)
        ((reason, undone, began),) = process.lost
        assert reason == "gave no sign of life in 200 ms and was killed"
        assert (undone, began) == ([], False)

    run(test())


def test_one_that_answers_pings_lives(run, launch, until):
    async def test():
        process = await launch()
        heard = {process._heard}

        def answered_thrice():
            process.tick(asyncio.get_running_loop().time())
            heard.add(process._heard)
            return len(heard) > 3

        await until(answered_thrice)
        assert process.lost == []

    run(test())


def test_one_that_used_up_its_memory_is_replaced(run, launch, numbers, until):
    async def test():
        process = await launch(memory=64 << 20)
        found, _ = await answer(process, numbered(1 << 20))  # 8 MB: within the limit
        assert found.count == 1 << 20
        process.run(Task(numbers(-7), lambda *_: None))
        await until(lambda: process.lost)
        assert process.lost[0][0] == "reached its memory limit"

    run(test())


def test_memory_of_large_batches_is_given_back(run, launch, until):
    async def test():
        others = set(open_arenas())  # of tests before, which nobody has collected yet
        process = await launch()
        await answer(process, numbered(8 * KEPT_BYTES // 8))
        assert arena_bytes(others) > 15 * KEPT_BYTES

        def trimmed():
            process.tick(asyncio.get_running_loop().time())
            return arena_bytes(others) <= 2 * KEPT_BYTES

        await until(trimmed)
        found, _ = await answer(process, numbered(10_000))
        assert found["y"][-1] == 2 * 9_999

    run(test())


def arena_bytes(others):
    """Return the memory that the arenas take up which are open here, without those others."""
    return sum(found for file, found in open_arenas().items() if file not in others)


def open_arenas():
    """Return file -> memory that it takes up, in bytes, of the arenas which are open here."""
    opened = list(Path("/proc/self/fd").iterdir())
    arenas = [each for each in opened if each.is_symlink() and "arena" in str(each.readlink())]
    # A mapping keeps a descriptor of its own: each file counts once.
    return {found.st_ino: found.st_blocks * 512 for found in map(Path.stat, arenas)}


def test_giving_up_twice_is_told_once(run, launch):
    async def test():
        process = await launch()
        process.give_up("had its day")
        process.give_up("had its day")
        assert process.lost == [("had its day", [], False)]

    run(test())


def test_a_model_that_cannot_be_opened_says_why(run, nursery, tmp_path):
    async def test():
        process = RemoteReplica(await nursery.fork(), 1, CARE, Patience(CARE))
        with pytest.raises(ServeError, match=r"FileNotFoundError: .*No such file or directory"):
            await process.open(Opening("odd_models:doubler", str(tmp_path / "nowhere"), 1))
        await process.end(0.0)

    run(test())


def test_one_that_dies_while_it_opens_says_so(run, nursery, tmp_path):
    async def test():
        process = RemoteReplica(await nursery.fork(), 1, CARE, Patience(CARE))
        with pytest.raises(ServeError) as raised:
            await process.open(Opening("odd_models:not_there", str(tmp_path), 1))
        assert str(raised.value) == (
            "a replica process was killed (SIGKILL) while it opened its model"
        )

    run(test())


@pytest.mark.parametrize("step", ["open", "check"])
def test_one_that_hangs_before_it_is_ready_is_noticed(run, nursery, model, numbers, step):
    async def test():
        care = Care(opening=0.5) if step == "open" else CARE
        process = RemoteReplica(await nursery.fork(), 1, care, Patience(care))
        order = Opening("odd_models:doubler", str(model()), 1)
        if step == "open":
            os.kill(process.pid, signal.SIGSTOP)
        else:
            await process.open(order)
            process._care = Care(opening=0.5)
        with pytest.raises(ServeError, match="a replica was not ready after 500 ms"):
            await (process.open(order) if step == "open" else process.check(numbers(-3)))
        process.give_up("is not needed")

    run(test())


def test_nothing_is_left_behind(run, launch, numbers):
    async def test():
        before = open_files()
        for ending in ("end", "give up", "kill"):
            process = await launch(slots=3)
            await answer(process, numbered(10_000))
            if ending == "end":
                await process.end(1.0)
            elif ending == "give up":
                process.give_up("had its day")
            else:
                process.run(Task(numbers(-1), lambda *_: None))
                while not process.lost:
                    await asyncio.sleep(0.01)
        assert open_files() == before

    run(test())
