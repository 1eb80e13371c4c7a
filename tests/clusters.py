"""Real clusters on this machine, and an open engine of each kind, for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.spark_cluster import SparkCluster

from gristmill.engine import Engine, open_engine

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

RAY = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
"""The marks of a test that uses `ray_cluster`: one process has the cluster and all of its tests."""

SPARK = [pytest.mark.spark, pytest.mark.xdist_group("spark")]
"""The marks of a test that uses `spark_master` or `spark_engine`."""

_STORE_BYTES = 100 * 2**20
_SOON = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""Ray notices a lost node in seconds, not in half a minute."""


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Cluster]:
    """A Ray cluster of two nodes with two processors each; nothing is connected to it.

    Tests that take a node away add one of their own first.
    """
    pytest.importorskip("ray", reason="needs Ray: pip install 'gristmill[ray]'")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": _STORE_BYTES}
    head = {**node, "include_dashboard": False, "_system_config": _SOON}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**node)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="session")
def spark_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A Spark master with two workers; nothing is connected to it.

    Tests that take a worker away add one afterwards.
    """
    pytest.importorskip("pyspark", reason="needs Spark: pip install 'gristmill[spark]'")
    if shutil.which("java") is None:
        pytest.skip("needs Java: apt install openjdk-17-jre-headless")
    cluster = SparkCluster(tmp_path_factory.mktemp("spark"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in cluster.environment.items():
                patch.setenv(name, value)
            cluster.add_workers(2)
            yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def spark_engine(spark_master: SparkCluster) -> Iterator[Engine]:
    """An engine on `spark_master`; while it is open, others join its connection in no time."""
    with open_engine(spark_master.url) as engine:
        yield engine


@pytest.fixture(
    scope="session",
    params=["local", pytest.param("ray", marks=RAY), pytest.param("spark", marks=SPARK)],
    ids=lambda kind: kind,
)
def any_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An open engine of each kind that the tests of the stages are run with."""
    name, workers = request.param, 2
    if name == "ray":
        name, workers = f"ray:{request.getfixturevalue('ray_cluster').address}", 4
    elif name == "spark":
        request.getfixturevalue("spark_engine")
        name, workers = request.getfixturevalue("spark_master").url, None
    with open_engine(name, workers=workers) as engine:
        yield engine
