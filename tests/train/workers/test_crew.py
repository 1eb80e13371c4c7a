import selectors

import pytest
import torch

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.records.pool import Pool
from gristmill.train.workers.crew import Crew
from gristmill.train.workers.emulated import emulated
from gristmill.train.workers.machine import Device


def devices(count):
    return [Device("cpu", index) for index in range(count)]


@pytest.fixture
def crew(cradle, handyman):
    with Crew(devices(3), handyman, values_bytes=1 << 26, born_in=cradle) as crew:
        yield crew


def put(target, number):
    return target.values.put(torch.full((1000,), float(number)))


def read(target, handles):
    return [target.values.get(handle).sum().item() for handle in handles]


def test_every_worker_and_the_owner_read_everybody_s_values(crew):
    handles = [worker.ask(("do", put, worker.rank)) for worker in crew.workers]
    for worker in crew.workers:
        assert worker.ask(("do", read, handles)) == [0.0, 1000.0, 2000.0]
    assert [crew.values.get(handle)[7].item() for handle in handles] == [0.0, 1.0, 2.0]
    assert [crew.owner(handle) for handle in handles] == crew.workers


def test_values_are_freed_by_their_owners(crew):
    handles = [worker.ask(("do", put, 1)) for worker in crew.workers for _ in range(3)]
    crew.free(handles[1:])
    used = [worker.ask(("do", lambda target: target.values.used_bytes)) for worker in crew.workers]
    assert used == [4096, 0, 0]


def test_a_lost_worker_is_replaced(crew, all_gone):
    old = crew.workers[1]
    kept, gone = crew.workers[0].ask(("do", put, 5)), old.ask(("do", put, 6))
    old.kill()
    new = crew.replace(1)
    assert crew.workers[1] is new
    assert (new.rank, new.pid != old.pid, new.number != old.number) == (1, True, True)
    all_gone([old.pid])
    assert crew.owner(gone) is None
    crew.free([gone])
    assert new.ask(("do", read, [kept])) == [5000.0]
    mine = new.ask(("do", put, 7))
    assert crew.workers[2].ask(("do", read, [kept, mine])) == [5000.0, 7000.0]
    assert crew.values.get(mine)[0].item() == 7.0
    with pytest.raises(UsageError, match=f"a value of worker {gone.owner} cannot be read"):
        crew.workers[2].ask(("do", read, [gone]))


def test_a_live_worker_can_be_replaced_too(crew, all_gone):
    old = crew.workers[0]
    crew.replace(0)
    all_gone([old.pid])
    assert crew.workers[0].ask(("do", lambda target: target.rank)) == 0


def test_all_workers_map_the_pool(cradle, handyman):
    with (
        Pool.create(1 << 16) as pool,
        Crew(devices(2), handyman, pool=pool, values_bytes=1 << 20, born_in=cradle) as crew,
    ):

        def mark(target):
            target.pool[target.rank] = 10 + target.rank

        for worker in crew.workers:
            worker.ask(("do", mark))
        assert pool.tensor[:3].tolist() == [10, 11, 0]


def test_a_target_that_cannot_be_built_leaves_no_worker(cradle, all_gone, until):
    import os

    def refuse(rank, pool, values):
        if rank == 1:
            raise ValueError(f"no room on {os.getpid()}")
        return object()

    with pytest.raises(TrainError, match=r"worker 1: ValueError: no room on \d+") as caught:
        Crew(devices(2), refuse, values_bytes=1 << 20, born_in=cradle)
    all_gone([int(str(caught.value).split()[-1])])


def test_thirty_two_emulated_workers_answer_every_task(cradle):
    with Crew(devices(32), emulated(), values_bytes=1 << 16, born_in=cradle) as crew:
        selector = selectors.DefaultSelector()
        for worker in crew.workers:
            selector.register(worker.connection, selectors.EVENT_READ, worker)
            worker.send(("run", 0.002))
        to_send, done = 320 - 32, [0] * 32
        while sum(done) < 320:
            for key, _ in selector.select():
                rank = key.data.receive().get()
                done[rank] += 1
                if to_send:
                    key.data.send(("run", 0.002))
                    to_send -= 1
        selector.close()
        assert sum(done) == 320
        assert min(done) >= 1
