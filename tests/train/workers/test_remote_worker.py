import os
import random
import select
import signal
import time

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.workers.death import WorkerLostError
from gristmill.train.workers.payload import dumps


@pytest.fixture
def start(cradle, handyman):
    started = []

    def make(rank=0, **settings):
        worker = cradle.start(rank, **settings)
        worker.build(dumps(handyman))
        worker.receive().get()
        started.append(worker)
        return worker

    yield make
    for worker in started:
        worker.close()


def lost(worker):
    """The message of a worker that was lost, once every reply it had sent is received."""
    try:
        while True:
            worker.receive()
    except WorkerLostError as error:
        return str(error)


def test_a_worker_killed_at_any_moment_is_told_with_the_reason(start):
    random_moments = random.Random(20)
    for _ in range(12):
        worker = start(7)
        for _ in range(200):
            worker.send(("do", lambda _: bytes(50_000)))
        time.sleep(random_moments.random() * 0.02)
        os.kill(worker.pid, signal.SIGKILL)
        assert lost(worker) == "worker 7: the process was killed (SIGKILL)"
        assert worker.death.exit_code == -signal.SIGKILL


def test_the_connection_wakes_a_selector_when_the_worker_dies(start):
    worker = start()
    worker.send(("do", lambda _: time.sleep(1000)))
    poll = select.poll()
    poll.register(worker.connection, select.POLLIN)
    assert poll.poll(0) == []
    worker.kill()
    assert poll.poll(60_000)
    assert lost(worker) == "worker 0: the process was killed (SIGKILL)"


def test_replies_sent_before_the_end_are_received(start):
    worker = start()
    worker.send(("do", lambda _: "last words"))
    worker.send(("do", lambda _: os._exit(3)))
    worker.send(("do", lambda _: "never"))
    assert worker.receive().get() == "last words"
    assert lost(worker) == "worker 0: the process ended by itself (exit code 3)"


def test_a_crash_in_native_code_names_the_line(start):
    def crash(_):
        import ctypes

        ctypes.string_at(0)

    worker = start()
    worker.send(("do", crash))
    said = lost(worker)
    assert said.startswith("worker 0: the process crashed in native code (SIGSEGV) at File ")
    assert "in string_at" in said


def test_a_dead_worker_takes_messages_and_says_again_that_it_is_dead(start):
    worker = start()
    worker.kill()
    first = lost(worker)
    worker.send(("do", lambda _: 1))
    assert lost(worker) == first
    worker.kill()


def test_what_a_worker_has_started_ends_with_it(start, all_gone):
    def grow(_):
        import os
        import subprocess
        import sys

        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        forked = os.fork()  # inherits the connection, and would keep it open
        if forked == 0:
            import time

            time.sleep(1000)
            os._exit(0)
        return [child.pid, forked]

    worker = start()
    pids = worker.ask(("do", grow))
    worker.kill()
    assert "was killed (SIGKILL)" in lost(worker)
    all_gone([worker.pid, *pids])


def test_a_worker_ignores_ctrl_c(start):
    worker = start()
    os.kill(worker.pid, signal.SIGINT)
    assert worker.ask(("do", lambda _: "still there")) == "still there"


def test_closing_ends_it_whatever_it_does(start, all_gone):
    worker = start()
    worker.send(("do", lambda _: time.sleep(1000)))
    worker.close()
    all_gone([worker.pid])
    worker.close()
    worker.kill()
    with pytest.raises(TrainError) as caught:
        worker.send(("do", 1))
    assert str(caught.value) == "the worker process was closed, or belongs to another process"
    with pytest.raises(TrainError, match="was closed"):
        worker.receive()


def test_a_worker_that_nobody_holds_ends(cradle, handyman, all_gone):
    worker = cradle.start(0)
    pid = worker.pid
    del worker
    all_gone([pid])


def test_what_cannot_be_sent_is_told_and_harms_nothing(start):
    worker = start(2)
    with pytest.raises(TrainError) as caught:
        worker.send(("do", (i for i in range(3))))
    assert str(caught.value) == (
        "worker 2: a message cannot be sent to another process: TypeError: cannot pickle "
        "'generator' object\n"
        "  fix: keep locks, open files and connections out of what is sent; open them inside"
    )
    assert worker.ask(("do", lambda target: target.rank)) == 2


def test_numbers_are_never_used_twice(start):
    workers = [start(0), start(0)]
    assert workers[0].number != workers[1].number
