"""What the Ray engine adds to the protocol: places, threads, functions that travel, messages."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from tests.clusters import RAY

from gristmill.core.errors import StepError, UsageError
from gristmill.engine import open_engine

pytestmark = RAY


def run(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=False, timeout=120
    )


def test_nodes_and_parallelism(ray):
    nodes = ray.nodes()
    assert len(nodes) == 2
    assert [(node.cpus, node.gpus) for node in nodes] == [(2, 0), (2, 0)]
    assert ray.parallelism == 4


def test_items_are_spread_over_the_nodes(ray, ray_jobs, tmp_path):
    assert list(ray.map(ray_jobs.slow, [(tmp_path, i, 0.2) for i in range(8)])) == list(range(8))
    nodes = {path.name.split(".")[1] for path in tmp_path.iterdir()}
    assert nodes == {node.id for node in ray.nodes()}


def test_functions_of_a_notebook_travel(ray):
    offset = 5
    assert list(ray.map(lambda x: x + offset, range(3))) == [5, 6, 7]


def test_what_arrives_can_be_changed(ray, ray_jobs):
    """Ray's own arguments and results are read-only views of its store."""
    (found,) = ray.map(ray_jobs.added_in_place, [np.zeros(100_000)])
    found += 1
    assert found.sum() == 200_000


def test_large_results_keep_their_order(ray, ray_jobs, tmp_path):
    results = ray.map(ray_jobs.large, [(tmp_path, i) for i in range(12)])
    assert [int(each[0]) for each in results] == list(range(12))


def test_actors_are_spread_over_the_nodes(ray, ray_jobs):
    nodes, found, end = {node.id for node in ray.nodes()}, set(), time.monotonic() + 120
    while found != nodes:  # a node that has just joined is not known to all others yet
        assert time.monotonic() < end, f"actors on {found} only, of {nodes}"
        actors = ray.workers(4, ray_jobs.Keeper)
        found = {actor.node for actor in actors}
        assert len({actor.pid for actor in actors}) == 4
        for actor in actors:
            actor.close()


def test_processors_that_are_kept_are_threads(ray, ray_jobs):
    actors = ray.workers(2, ray_jobs.Keeper, cpus=2)
    assert len({actor.node for actor in actors}) == 2
    assert [actor.call("threads").result() for actor in actors] == ["2", "2"]
    # All processors are kept for actors: items run beside them.
    assert list(ray.map(ray_jobs.large, [])) == []
    assert list(ray.map(abs, [-1, -2])) == [1, 2]
    for actor in actors:
        actor.close()


def test_no_room(ray, ray_jobs, monkeypatch):
    monkeypatch.setattr("gristmill.engine.ray_engine._ROOM_SECONDS", 1.0)
    with pytest.raises(StepError) as error:
        ray.workers(2, ray_jobs.Keeper, cpus=3)
    assert error.value.message == (
        "the Ray cluster has had no room for 2 workers of 3 CPU, 0 GPU for 1 seconds; "
        "free at the moment: 4 CPU, 0 GPU"
    )


def test_accelerators_are_kept(ray, ray_jobs, ray_cluster, monkeypatch):
    """Ray believes what it is told of a node: nobody looks for the hardware here."""
    node = ray_cluster.add_node(num_cpus=1, num_gpus=2, object_store_memory=100 * 2**20)
    try:
        actors = ray.workers(2, ray_jobs.Keeper, gpus=1)
        assert {actor.node for actor in actors} == {node.node_id}
        seen = sorted(actor.call("accelerators").result() for actor in actors)
        assert seen == ["0", "1"]
        monkeypatch.setattr("gristmill.engine.ray_engine._ROOM_SECONDS", 1.0)
        with pytest.raises(StepError, match="no room for 1 workers of 0 CPU, 1 GPU"):
            ray.workers(1, ray_jobs.Keeper, gpus=1)
        for actor in actors:
            actor.close()
    finally:
        ray_cluster.remove_node(node)


def test_a_node_that_starts_no_worker(ray, ray_cluster, monkeypatch):
    monkeypatch.setattr("gristmill.engine.ray_engine._START_SECONDS", 0.0)
    with pytest.raises(UsageError, match=r"no worker process has started on .* for 0 seconds"):
        ray._check_versions()


def test_one_process_joins_one_cluster(ray, ray_cluster):
    with pytest.raises(UsageError, match=f"is connected to the Ray cluster {ray_cluster.address}"):
        open_engine("ray:127.0.0.1:1")
    with open_engine("ray") as second:
        assert second.nodes() == ray.nodes()
    assert list(ray.map(abs, [-1])) == [1]
    with pytest.raises(UsageError, match="code is sent when it joins"):
        open_engine("ray", code=Path(__file__).parent)


def test_a_cluster_that_is_not_there(tmp_path):
    done = run(
        tmp_path,
        """
        from gristmill.core.errors import UsageError
        from gristmill.engine import open_engine
        for name in ("ray:127.0.0.1:1", "ray://127.0.0.1:1"):
            try:
                open_engine(name)
            except UsageError as error:
                print(error.message)
        """,
    )
    assert done.stdout.splitlines() == [
        "cannot join the Ray cluster 127.0.0.1:1: [Errno 111] Connection refused",
        "cannot join the Ray cluster ray://127.0.0.1:1: [Errno 111] Connection refused",
    ], done.stderr


def test_code_travels(ray_cluster, tmp_path):
    """The folder has another name by the time the workers import from it."""
    folder = tmp_path / "mine"
    (folder / ".gristmill").mkdir(parents=True)
    (folder / ".gristmill" / "store.db").touch()
    (folder / "words.txt").write_text("free win")
    (folder / "rules.py").write_text(
        "from pathlib import Path\n"
        "def spam(text):\n"
        "    words = Path(__file__).with_name('words.txt').read_text().split()\n"
        "    return any(word in text for word in words), Path('.gristmill').exists()\n"
    )
    done = run(
        tmp_path,
        f"""
        import sys
        from pathlib import Path
        folder = Path({str(folder)!r})
        sys.path.insert(0, str(folder))
        import rules
        from gristmill.engine.ray_engine import RayEngine
        with RayEngine({ray_cluster.address!r}, code=folder) as engine:
            folder.rename(folder.with_name("elsewhere"))
            print(list(engine.map(rules.spam, ["win it", "hello"])))
        """,
    )
    assert done.stdout == "[(True, False), (False, False)]\n", done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("9.9.9", "the driver and the workers do not fit together: {}: gristmill 9.9.9"),
        (None, "the cluster's workers cannot load gristmill: "),
    ],
    ids=["another", "absent"],
)
def test_workers_with_another_gristmill(ray_cluster, tmp_path, version, said):
    import gristmill

    package = tmp_path / "site" / "gristmill"
    package.mkdir(parents=True)
    if version is None:
        (package / "__init__.py").touch()
    else:
        for path in Path(gristmill.__file__).parent.iterdir():
            if path.name != "_version.py":
                (package / path.name).symlink_to(path)
        (package / "_version.py").write_text(f"__version__ = {version!r}\n")
    done = run(
        tmp_path,
        f"""
        import ray
        from gristmill.core.errors import UsageError
        from gristmill.engine import open_engine
        ray.init(
            {ray_cluster.address!r}, log_to_driver=False, logging_level="ERROR",
            runtime_env={{"env_vars": {{"PYTHONPATH": {str(package.parent)!r}}}}},
        )
        try:
            open_engine("ray")
        except UsageError as error:
            print(error.message)
            print(error.fix)
        """,
    )
    message, fix = done.stdout.splitlines()
    host = ray_cluster.head_node.node_ip_address
    both = sorted(each.node_id[:8] for each in ray_cluster.list_all_nodes())
    nodes = ", ".join(f"node {each} at {host}" for each in both)
    assert message.startswith(said.format(nodes)), done.stderr
    assert fix.startswith("install")
