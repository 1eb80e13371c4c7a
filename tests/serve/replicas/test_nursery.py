import asyncio
import os
import signal

import pytest
from tests.processes import lives, open_files

from gristmill.core.errors import ServeError
from gristmill.serve.replicas.messages import Opening
from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.patience import Care, Patience
from gristmill.serve.replicas.remote_replica import RemoteReplica
from gristmill.serve.replicas.task import Task


async def born(nursery, **options):
    """Fork a process; return it and a function that lets go of what is held for it."""
    newborn = await nursery.fork(**options)

    def let_go():
        newborn.channel.close()
        os.close(newborn.pidfd)

    return newborn, let_go


def test_a_process_ends_with_its_channel(run, nursery):
    async def test():
        newborn, let_go = await born(nursery)
        let_go()
        return await newborn.ended

    assert run(test()).exit_code == 0


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "was killed"), (signal.SIGSEGV, "crashed in native")]
)
def test_a_death_is_told_with_its_reason(run, nursery, number, reason):
    async def test():
        newborn, let_go = await born(nursery)
        signal.pidfd_send_signal(newborn.pidfd, number)
        death = await newborn.ended
        let_go()
        return death

    assert run(test()).reason.startswith(reason)


def test_signals_for_the_whole_service_do_not_end_replicas(run, nursery):
    async def test():
        newborn, let_go = await born(nursery)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(newborn.pid, number)
            os.kill(nursery.pid, number)
        other, let_go_other = await born(nursery)
        assert not newborn.ended.done()
        let_go()
        let_go_other()
        return await newborn.ended, await other.ended

    assert [death.exit_code for death in run(test())] == [0, 0]


def test_it_is_started_again_and_replicas_live_on(run, nursery, until):
    async def test():
        newborn, let_go = await born(nursery)
        before = nursery.pid
        os.kill(before, signal.SIGKILL)
        death = await newborn.ended  # nobody can tell any more
        other, let_go_other = await born(nursery)
        assert nursery.pid != before
        os.kill(newborn.pid, 0)
        let_go()
        let_go_other()
        await other.ended
        return death

    assert run(test()) is None


def test_one_that_dies_while_it_is_asked_is_asked_again(run, nursery):
    async def test():
        (await born(nursery))[1]()
        os.kill(nursery.pid, signal.SIGSTOP)
        birth = asyncio.ensure_future(nursery.fork())
        await asyncio.sleep(0.05)
        os.kill(nursery.pid, signal.SIGKILL)
        newborn = await birth
        newborn.channel.close()
        os.close(newborn.pidfd)
        return await newborn.ended

    assert run(test()).exit_code == 0


def test_closing_ends_all_that_were_born(run, models_path, until):
    async def test():
        nursery = Nursery(["odd_models"])
        made = [await born(nursery) for _ in range(3)]
        pids = [nursery.pid, *(newborn.pid for newborn, _ in made)]
        nursery.close()
        await until(lambda: not any(map(lives, pids)))
        for _, let_go in made:
            let_go()
        with pytest.raises(ServeError, match="the nursery process was closed"):
            await nursery.fork()

    run(test())


def test_a_module_that_cannot_be_imported_is_named(run):
    async def test():
        nursery = Nursery(["there_is_no_such_module"])
        try:
            with pytest.raises(
                ServeError, match="cannot import there_is_no_such_module: ModuleNotFoundError"
            ):
                await nursery.fork()
        finally:
            nursery.close()

    run(test())


def test_giving_up_a_birth_leaves_no_process(run, nursery, until):
    async def test():
        before = open_files()
        birth = asyncio.ensure_future(nursery.fork())
        await asyncio.sleep(0)
        birth.cancel()
        with pytest.raises(asyncio.CancelledError):
            await birth
        newborn, let_go = await born(nursery)
        let_go()
        await newborn.ended
        await until(lambda: open_files() == before)

    run(test())


def test_processes_take_their_place_on_the_machine(run, nursery, model, numbers):
    async def test():
        newborn = await nursery.fork(threads=3, cores=[min(os.sched_getaffinity(0))], nice=5)
        process = RemoteReplica(newborn, 1, Care(), Patience(Care()))
        order = Opening("odd_models:witness", str(model()), 3)
        await process.open(order)
        answers = []
        process.run(Task(numbers(1.0), lambda outcome, _: answers.append(outcome)))
        await process.end(10.0)
        return newborn.pid, answers[0]["y"][0]

    pid, (found_pid, nice, cores, threads) = run(test())
    assert (found_pid, nice, cores, threads) == (pid, min(os.nice(0) + 5, 19), 1, 3)
