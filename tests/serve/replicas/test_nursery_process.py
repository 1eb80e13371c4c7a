import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.processes import lives

SERVER = """
import asyncio, sys
from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.replica_set import ReplicaSet
from gristmill.serve.runners.rows import Rows
import numpy as np

async def main():
    nursery = Nursery(["odd_models"])
    replicas = await ReplicaSet.start(
        sys.argv[1], 2, opener="odd_models:doubler", nursery=nursery
    )
    hanging = Rows({"x": np.array([float(sys.argv[2])])})
    replicas.replicas[0].start(hanging, lambda *_: None)
    print(nursery.pid, *replicas.pids, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
def server(tmp_path, models_path, model):
    """Start a process with two replicas; return it and the numbers of all that it started."""
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(SERVER))
    processes = []

    def start(value):
        path = os.pathsep.join([str(models_path), *filter(None, sys.path)])
        process = subprocess.Popen(
            [sys.executable, str(script), str(model()), str(value)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )
        processes.append(process)
        return process, [int(word) for word in process.stdout.readline().split()]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def all_gone(pids):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not any(map(lives, pids)):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("how", "value"),
    [(signal.SIGKILL, 1.0), (signal.SIGKILL, -3.0), (signal.SIGKILL, -4.0), (signal.SIGTERM, -3.0)],
    ids=["idle", "busy", "stopped", "busy, terminated"],
)
def test_nothing_outlives_the_process_it_works_for(server, how, value):
    process, pids = server(value)
    assert len(pids) == 3
    process.send_signal(how)
    process.wait()
    assert all_gone(pids)


def test_replicas_end_with_it_though_the_nursery_is_gone(server):
    process, pids = server(-3.0)
    os.kill(pids[0], signal.SIGKILL)
    assert all_gone(pids[:1])
    assert all(map(lives, pids[1:]))
    process.kill()
    process.wait()
    assert all_gone(pids)


def test_the_kernel_shall_rather_take_a_replica_than_the_server(server):
    process, pids = server(1.0)
    score = {pid: Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in pids}
    assert int(score[pids[1]]) > int(score[pids[0]])
    assert int(score[pids[1]]) > int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())


def test_a_replica_has_one_thread_and_nothing_of_its_siblings_open(server):
    _, pids = server(1.0)
    for pid in pids[1:]:
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    links = [[fd.readlink() for fd in Path(f"/proc/{pid}/fd").iterdir()] for pid in pids[1:]]
    sockets = [{str(link) for link in found if "socket:" in str(link)} for found in links]
    assert all(len(found) == 1 for found in sockets)
    assert sockets[0] != sockets[1]
