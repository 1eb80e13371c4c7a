"""How all tests are run: side by side on few cores, in processes that have all of them loaded."""

from __future__ import annotations

import gc
import os
import random
import sys
import weakref

import pytest
from hypothesis import HealthCheck, settings
from tests.clusters import any_engine as any_engine
from tests.clusters import ray_cluster as ray_cluster
from tests.clusters import spark_engine as spark_engine
from tests.clusters import spark_master as spark_master
from tests.s3_server import s3_process as s3_process
from tests.s3_server import s3_server as s3_server

if "PYTEST_XDIST_WORKER" in os.environ:
    # There are as many of these processes as cores: further threads would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes by the clock says nothing about it on cores that others use as well.
settings.register_profile(
    "side_by_side", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# Whether a change lands is not left to the examples drawn; those that people run draw new ones.
settings.register_profile("repeatable", settings.get_profile("side_by_side"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "side_by_side"))


class _Loop:
    """Garbage that is left alone as long as what was there with it is frozen."""

    def __init__(self) -> None:
        self.itself = self


_left_alone = weakref.ref(_Loop())


def _freeze() -> None:
    global _left_alone
    _left_alone = weakref.ref(_Loop())
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep what is loaded with the tests out of each later collection of garbage.

    It is more than half a million objects, and what trains collects garbage again and again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        _freeze()
        gc.enable()


def pytest_runtest_logfinish():
    """A server that ends in this process thaws all that was frozen: that shows when a loop went."""
    if _left_alone() is None:
        _freeze()


def pytest_unconfigure():
    """Libraries tell of leaks on exit what has not been collected by then."""
    gc.unfreeze()


def _draw_anew() -> None:
    """Set back the generators of this process: a test draws what it draws alone, in any order."""
    random.seed(0)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(0)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    _draw_anew()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    _draw_anew()


@pytest.fixture(scope="session")
def spam_bundle(tmp_path_factory):
    """A linear model of hashed n-grams with random weights, as a bundle."""
    import torch

    from gristmill.data.features import HashedNgrams
    from gristmill.train.bundle import bundle_model
    from gristmill.train.text.text_models import BagOfNgrams

    module = BagOfNgrams(2**8, 2)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        module.weights.weight[1:] = torch.randn(2**8, 2, generator=generator)
    return bundle_model(
        module,
        tmp_path_factory.mktemp("bundles") / "spam",
        name="spam",
        classes=["ham", "spam"],
        featurizer=HashedNgrams(buckets=2**8),
    )
