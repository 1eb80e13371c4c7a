"""Workers, nodes and drivers that are killed in the middle: nothing is lost or comes twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from tests.clusters import RAY
from tests.processes import lives

from gristmill.core.errors import StepError, UsageError
from gristmill.engine import open_engine

pytestmark = RAY


@pytest.fixture
def third_node(ray_cluster):
    """A node beside those of the cluster, which a test may take away."""
    node = ray_cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    yield node
    if node in ray_cluster.list_all_nodes():
        ray_cluster.remove_node(node)


def begun(folder: Path, number: int) -> list[str]:
    return [path.name for path in folder.glob(f"{number}.*")]


def pids(folder: Path) -> set[int]:
    return {int(path.name.split(".")[2]) for path in folder.iterdir()}


def test_a_killed_worker_is_replaced(ray, ray_jobs, tmp_path):
    found = list(ray.map(ray_jobs.killed_once, [(tmp_path, i, 3) for i in range(8)]))
    assert found == list(range(8))
    assert [len(begun(tmp_path, i)) for i in range(8)] == [1, 1, 1, 2, 1, 1, 1, 1]


def test_an_item_that_always_kills_its_worker(ray, ray_jobs, tmp_path):
    outcomes = list(ray.attempts(ray_jobs.poisoned, [(tmp_path, i, 2) for i in range(6)]))
    assert [outcome.value for outcome in outcomes] == [0, 1, None, 3, 4, 5]
    assert isinstance(outcomes[2].error, StepError)
    assert outcomes[2].error.message == "the worker process died, in each of 3 tries"
    assert outcomes[2].error.where == "poisoned, item 2"
    assert len(begun(tmp_path, 2)) == 3


@pytest.fixture
def wide(ray_cluster, third_node):
    """An engine that has as many items under way as all three nodes have processors.

    Six items that wait for each other are on all of the nodes, however fast one of these is.
    """
    with open_engine(f"ray:{ray_cluster.address}", workers=6) as engine:
        yield engine


def test_a_lost_node(wide, ray_jobs, tmp_path, ray_cluster, third_node, wait_until):
    """Items under way on it are made again by the others."""
    lost = third_node.node_id
    found = []
    outcomes = wide.attempts(ray_jobs.held, [(tmp_path, i) for i in range(16)])
    thread = threading.Thread(target=lambda: found.extend(outcomes))
    thread.start()
    wait_until(lambda: len(list(tmp_path.iterdir())) >= 6)
    there = [i for i in range(16) if any(lost in name for name in begun(tmp_path, i))]
    assert len(there) == 2
    ray_cluster.remove_node(third_node, allow_graceful=False)
    (tmp_path / "gate").write_text(lost)
    (tmp_path / "gate").rename(tmp_path / "open")
    thread.join(120)
    assert [outcome.get() for outcome in found] == list(range(16))
    assert all(len(begun(tmp_path, i)) > 1 for i in there)
    wait_until(lambda: len(wide.nodes()) == 2)


def test_large_results_of_a_lost_node(
    wide, ray_jobs, tmp_path, ray_cluster, third_node, wait_until
):
    """They lie in the store of the node that made them until it is their turn, or made again."""
    lost = third_node.node_id
    results = wide.map(ray_jobs.large_together, [(tmp_path, i, 6) for i in range(1, 9)])
    assert int(next(results)[0]) == 1
    there = [i for i in range(2, 9) if any(lost in name for name in begun(tmp_path, i))]
    assert there
    ray_cluster.remove_node(third_node, allow_graceful=False)
    assert [int(each[0]) for each in results] == list(range(2, 9))
    assert all(len(begun(tmp_path, i)) > 1 for i in there)
    wait_until(lambda: len(wide.nodes()) == 2)  # before others are placed on it


def test_an_actor_that_dies(ray, ray_jobs):
    first, second = ray.workers(2, ray_jobs.Keeper)
    with pytest.raises(StepError, match="worker 0, die: the worker process died"):
        first.call("die").result()
    with pytest.raises(StepError, match="worker 0, threads: the worker process died"):
        first.call("threads").result()
    assert second.call("threads").result() == "1"
    second.close()


def test_an_actor_of_a_lost_node(ray, ray_jobs, tmp_path, ray_cluster, third_node, wait_until):
    # All processors of the cluster, so that some are on the node.
    actors = ray.workers(6, ray_jobs.Keeper, cpus=1)
    there = next(actor for actor in actors if actor.node == third_node.node_id)
    sleeping = there.call("sleep", tmp_path)
    wait_until(lambda: bool(list(tmp_path.iterdir())))
    ray_cluster.remove_node(third_node, allow_graceful=False)
    with pytest.raises(StepError, match="the worker's node was lost"):
        sleeping.result(180)
    for actor in actors:
        actor.close()


def test_closing_an_actor_ends_its_call(ray, ray_jobs, tmp_path, wait_until):
    (actor,) = ray.workers(1, ray_jobs.Keeper)
    running, queued = actor.call("sleep", tmp_path), actor.call("threads")
    wait_until(lambda: bool(list(tmp_path.iterdir())))
    actor.close()
    with pytest.raises(StepError, match="was ended"):
        running.result(180)
    assert queued.cancelled()
    wait_until(lambda: not lives(actor.pid))


def test_leaving_early_ends_the_tasks(ray, ray_jobs, tmp_path, wait_until):
    results = ray.map(ray_jobs.slow, [(tmp_path, i, 600 if i else 0) for i in range(5)])
    assert next(results) == 0
    wait_until(lambda: len(list(tmp_path.iterdir())) >= 4)
    results.close()
    asleep = pids(tmp_path) - {int(name.split(".")[2]) for name in begun(tmp_path, 0)}
    wait_until(lambda: not any(map(lives, asleep)))


def test_closing_from_another_thread_ends_the_wait(
    ray, ray_jobs, tmp_path, ray_cluster, wait_until
):
    second = open_engine(f"ray:{ray_cluster.address}", workers=2)
    outcomes = second.attempts(ray_jobs.slow, [(tmp_path, i, 600) for i in range(3)])
    found = []
    thread = threading.Thread(target=lambda: found.extend(outcomes))
    thread.start()
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    second.close()
    thread.join(60)
    assert {outcome.error.message for outcome in found} == {
        "the work was cancelled: its engine was closed"
    }
    with pytest.raises(UsageError, match="the engine is closed"):
        second.map(abs, [1])
    assert list(ray.map(abs, [-1])) == [1]


JOB = """
    import sys
    sys.path.insert(0, {folder!r})
    import ray_jobs
    from gristmill.engine import open_engine
    with open_engine({engine!r}, workers=2) as engine:
        items = [({marks!r}, i, 600 if i else 0) for i in range(5)]
        for number in engine.map(ray_jobs.slow, items):
            print(number, flush=True)
"""


@pytest.fixture
def driver(tmp_path, ray_jobs, wait_until):
    """Start a process that runs a job, and wait until its workers are in the middle of it."""

    def start(engine: str) -> tuple[subprocess.Popen[str], Path]:
        marks = tmp_path / "marks"
        marks.mkdir()
        path = tmp_path / "script.py"
        folder = str(Path(ray_jobs.__file__).parent)
        path.write_text(textwrap.dedent(JOB.format(folder=folder, engine=engine, marks=str(marks))))
        process = subprocess.Popen(
            [sys.executable, path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "GRISTMILL_TEST": str(tmp_path)},
        )
        wait_until(lambda: len(list(marks.iterdir())) >= 3)
        return process, marks

    return start


def test_a_killed_driver(driver, ray, ray_jobs, ray_cluster, tmp_path, wait_until):
    process, marks = driver(f"ray:{ray_cluster.address}")
    process.kill()
    process.communicate(timeout=180)
    wait_until(lambda: not any(map(lives, pids(marks))))
    again = [(tmp_path, i, 0) for i in range(5)]
    assert list(ray.map(ray_jobs.slow, again)) == list(range(5))


def test_ctrl_c(driver, ray_cluster, wait_until):
    process, marks = driver(f"ray:{ray_cluster.address}")
    os.killpg(process.pid, signal.SIGINT)
    said, complained = process.communicate(timeout=180)
    assert said == "0\n"
    assert complained.rstrip().endswith("KeyboardInterrupt")
    assert complained.count("Traceback") == 1
    wait_until(lambda: not any(map(lives, pids(marks))))


def descendants(token: str) -> list[int]:
    """Return the processes that have a variable of their first one, whoever their parent is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and lives(int(entry.name)):
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # it ended, or is another user's
                continue
            if f"GRISTMILL_TEST={token}".encode() in environment:
                found.append(int(entry.name))
    return found


def test_a_killed_driver_takes_its_own_cluster_along(driver, tmp_path, wait_until):
    process, _ = driver("ray")
    assert len(descendants(str(tmp_path))) > 3
    process.kill()
    process.communicate(timeout=180)
    wait_until(lambda: not descendants(str(tmp_path)))


def test_a_cluster_of_its_own_says_nothing_and_ends(tmp_path, ray_jobs):
    script = f"""
        import sys
        sys.path.insert(0, {str(Path(ray_jobs.__file__).parent)!r})
        import ray_jobs
        from gristmill.engine import open_engine
        with open_engine("ray", workers=2) as engine:
            items = [({str(tmp_path)!r}, i, 1) for i in range(3)]
            print([outcome.ok for outcome in engine.attempts(ray_jobs.poisoned, items)])
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "GRISTMILL_TEST": str(tmp_path)},
    )
    assert (done.stdout, done.stderr) == ("[True, False, True]\n", "")
    assert descendants(str(tmp_path)) == []
