import os
import signal
import sys
from pathlib import Path

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.workers import nursery as module
from gristmill.train.workers.death import WorkerLostError
from gristmill.train.workers.nursery import Nursery, nursery
from gristmill.train.workers.payload import dumps

UNGUARDED = """
    print("top of the script", flush=True)

    import os
    import sys
    from gristmill.train.workers.nursery import nursery
    from gristmill.train.workers.payload import dumps

    WORD = sys.argv[1]

    def shout(text):
        return text.upper() + WORD

    class Box:
        def __init__(self, text): self.text = text

    class Target:
        def __init__(self, rank, pool, values): self.rank = rank
        def call(self, fn, *args): return fn(*args)
        def box(self): return Box(shout(f"box {self.rank} "))

    def adder(step):
        return lambda number: number + step

    workers = [nursery().start(rank) for rank in range(2)]
    for worker in workers:
        worker.build(dumps(Target))
        worker.receive().get()
    print(workers[0].ask(("call", shout, "a function of main ")))
    print(workers[1].ask(("call", lambda text: shout(text), "a lambda ")))
    print(workers[1].ask(("call", adder(5), 37)))
    box = workers[1].ask(("box",))
    print(isinstance(box, Box), box.text)
    print(nursery().pid, *(worker.pid for worker in workers))
"""


def test_unguarded_scripts_run_once_each_with_a_nursery_of_their_own(script, all_gone):
    processes = {word: script(UNGUARDED, word) for word in ("one", "two")}
    pids = []
    for word, process in processes.items():
        said, errors = process.communicate(timeout=120)
        *lines, last = said.splitlines()
        assert lines == [
            "top of the script",
            f"A FUNCTION OF MAIN {word}",
            f"A LAMBDA {word}",
            "42",
            f"True BOX 1 {word}",
        ], errors
        assert (process.returncode, errors) == (0, "")
        pids += map(int, last.split())
    assert len(set(pids)) == 6
    all_gone(pids)


WORKING = """
    import os
    import signal
    import sys
    import time
    from gristmill.train.workers.nursery import nursery
    from gristmill.train.workers.payload import dumps

    class Target:
        def __init__(self, rank, pool, values): self.values = values
        def put(self):
            import torch
            self.values.put(torch.zeros(1000))
        def sleep(self, seconds):
            time.sleep(seconds)
            return "slept"
        def calculate(self):
            while True: sum(range(10**6))

    workers = idle, asleep, busy = [nursery().start(rank) for rank in range(3)]
    for worker in workers: worker.build(dumps(Target)); worker.receive().get()
    for worker in workers: worker.ask(("put",))
    asleep.send(("sleep", 60))
"""


def test_no_process_outlives_a_killed_script(script, all_gone, until):
    process = script(
        WORKING
        + """
    busy.send(("calculate",))
    child = os.fork()  # has copies of all that is open, and would keep it open
    if child == 0:
        time.sleep(60)
    os.kill(idle.pid, signal.SIGSTOP)
    print(nursery().pid, *(worker.pid for worker in workers), child, flush=True)
    time.sleep(60)
    """
    )
    *pids, child = map(int, process.stdout.readline().split())
    assert len(pids) == 4
    process.kill()
    all_gone(pids)
    assert list(Path("/dev/shm").glob("gristmill*")) == []
    os.kill(child, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL


def test_ctrl_c_and_forks_are_the_main_process_s_own_affair(script, all_gone):
    process = script(
        WORKING
        + """
    child = os.fork()
    if child == 0:
        try:
            idle.ask(("sleep", 0))
        except Exception as error:
            print(error, flush=True)
        sys.exit(0)  # as an ordinary process ends: with what is to be done at exit
    os.waitpid(child, 0)
    print(idle.ask(("sleep", 0)), flush=True)
    try:
        print(nursery().pid, *(worker.pid for worker in workers), flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted,", idle.ask(("sleep", 0.01)), flush=True)
    """
    )
    lines = [process.stdout.readline().strip() for _ in range(3)]
    assert lines[:2] == ["the worker process was closed, or belongs to another process", "slept"]
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=120)
    assert (said, errors, process.returncode) == ("interrupted, slept\n", "", 0)
    all_gone(map(int, lines[2].split()))


def test_a_worker_takes_over_environment_folder_and_paths(cradle, handyman, tmp_path, monkeypatch):
    monkeypatch.setenv("GRISTMILL_TEST_WORD", "from the owner")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, ""])
    worker = cradle.start(0)
    worker.build(dumps(handyman))
    worker.receive().get()

    def look(_):
        import os
        import sys
        from pathlib import Path

        return os.environ["GRISTMILL_TEST_WORD"], str(Path.cwd()), sys.path[-1]

    assert worker.ask(("do", look)) == ("from the owner", str(tmp_path), str(tmp_path))
    worker.close()


def test_threads_and_cores_are_as_asked(cradle, handyman):
    core = min(os.sched_getaffinity(0))
    worker = cradle.start(0, threads=2, cores=[core])
    worker.build(dumps(handyman))
    worker.receive().get()

    def look(_):
        import os

        import torch

        product = torch.ones(300, 300) @ torch.ones(300, 300)
        return (
            torch.get_num_threads(),
            os.environ["OMP_NUM_THREADS"],
            os.sched_getaffinity(0),
            float(product[0, 0]),
        )

    assert worker.ask(("do", look)) == (2, "2", {core}, 300.0)
    worker.close()


def test_the_nursery_has_one_thread_and_loads_torch_for_all(cradle, worker):
    assert len(list(Path(f"/proc/{cradle.pid}/task").iterdir())) == 1
    loaded = worker.ask(("do", lambda _: "torch" in sys.modules))
    assert loaded


def test_workers_know_no_sockets_of_each_other(cradle, handyman, worker):
    other = cradle.start(1)
    other.build(dumps(handyman))
    other.receive().get()

    def sockets(_):
        from pathlib import Path

        open_files = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
        return sum(str(file.readlink()).startswith("socket:") for file in open_files)

    assert other.ask(("do", sockets)) == worker.ask(("do", sockets)) == 1
    other.close()


def test_workers_end_with_their_nursery_and_the_next_is_a_new_one(all_gone, monkeypatch):
    monkeypatch.setattr(module, "_shared", None)
    first = nursery()
    assert nursery() is first
    worker = first.start(0)
    os.kill(first.pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError) as caught:
        worker.receive()
    assert str(caught.value) == (
        "worker 0: the process ended with the nursery process, which starts all workers and was "
        "killed"
    )
    all_gone([worker.pid])
    with pytest.raises(
        TrainError, match="the nursery process, which starts all workers, has ended"
    ):
        first.start(1)
    second = nursery()
    assert second is not first
    assert second.alive
    second.close()
    assert not second.alive


def test_a_module_that_cannot_be_loaded_is_told(all_gone):
    broken = Nursery(["no_such_module_anywhere"])
    with pytest.raises(TrainError) as caught:
        broken.start(0)
    assert str(caught.value) == (
        "worker processes cannot import no_such_module_anywhere: ModuleNotFoundError: "
        "No module named 'no_such_module_anywhere'"
    )
    broken.close()
    all_gone([broken.pid])


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(TrainError) as caught:
        Nursery()
    assert str(caught.value) == "worker processes need Linux, found darwin"


def test_a_machine_that_allows_no_further_process_is_told(monkeypatch):
    def refused(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module, "start_interpreter", refused)
    with pytest.raises(TrainError) as caught:
        Nursery()
    assert str(caught.value) == (
        "the nursery process could not be started: [Errno 11] Resource temporarily unavailable"
    )


def test_an_answer_to_an_order_that_was_given_up_is_passed_over(cradle, monkeypatch):
    send = cradle._link.send

    def interrupted(order, fds):
        send(order, fds)
        raise KeyboardInterrupt

    monkeypatch.setattr(cradle._link, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cradle.start(0)
    monkeypatch.undo()
    worker = cradle.start(1)
    assert worker.rank == 1
    worker.kill()
    with pytest.raises(WorkerLostError, match="worker 1: the process was killed"):
        worker.receive()
    worker.close()
