"""Real clusters on this machine, and an open engine of each kind, for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from gristmill.engine import Engine, open_engine

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

RAY = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
"""The marks of a test that uses `ray_cluster`: one process has the cluster and all of its tests."""

_STORE_BYTES = 100 * 2**20


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Cluster]:
    """A Ray cluster of two nodes with two processors each; nothing is connected to it.

    Tests that take a node away add one of their own first.
    """
    pytest.importorskip("ray", reason="needs Ray: pip install 'gristmill[ray]'")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": _STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    yield cluster
    cluster.shutdown()


@pytest.fixture(
    scope="session", params=["local", pytest.param("ray", marks=RAY)], ids=lambda kind: kind
)
def any_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An open engine of each kind that the tests of the stages are run with."""
    name, workers = request.param, 2
    if name == "ray":
        name, workers = f"ray:{request.getfixturevalue('ray_cluster').address}", 4
    with open_engine(name, workers=workers) as engine:
        yield engine
