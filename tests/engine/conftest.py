"""The engines under test, and the module of jobs that their workers import."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.clusters import RAY, SPARK

from gristmill.engine import open_engine


@pytest.fixture(scope="session")
def jobs() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).parent))
    return importlib.import_module("engine_jobs")


@pytest.fixture(scope="session")
def ray_jobs(jobs) -> ModuleType:  # the folder of jobs is on the import path by now
    return importlib.import_module("ray_jobs")


@pytest.fixture(scope="session")
def spark_jobs(jobs) -> ModuleType:
    return importlib.import_module("spark_jobs")


@pytest.fixture(scope="module")
def ray(ray_cluster, jobs):
    """An engine on `ray_cluster`."""
    with open_engine(f"ray:{ray_cluster.address}") as engine:
        yield engine


@pytest.fixture
def spark(spark_engine, jobs):
    """The engine on `spark_master`."""
    return spark_engine


@pytest.fixture(
    scope="module",
    params=[
        "inline",
        "local",
        pytest.param("ray", marks=RAY),
        pytest.param("spark", marks=SPARK),
    ],
)
def engine(request, jobs):
    name = request.param
    if name == "ray":
        name = f"ray:{request.getfixturevalue('ray_cluster').address}"
    elif name == "spark":
        request.getfixturevalue("spark_engine")
    with open_engine(name, workers=2) as engine:
        yield engine


@pytest.fixture
def hosting(engine):
    """An engine that has actors."""
    if engine.name == "spark":
        pytest.skip("Spark has no actors")
    return engine


@pytest.fixture(scope="module")
def local(jobs):
    with open_engine("local", workers=2) as engine:
        yield engine


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait for something to become true; fails after two minutes.

    The last processes of a killed Ray cluster look for its head for one minute.
    """

    def wait_until(done: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not done():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.02)

    return wait_until
