"""Training on a real Ray cluster beside training here: the same weights, trials and decisions."""

from __future__ import annotations

import functools
import io
import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from tests.clusters import RAY
from tests.processes import children
from torch import nn

from gristmill import train
from gristmill.core.progress import LineReporter, reporting
from gristmill.engine import open_engine
from gristmill.train.hunt.halving import halving
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.running import run_trials
from gristmill.train.jobs.training_run import TrainingRun

pytestmark = RAY
ROWS = 240


def build(width=16):
    return nn.Sequential(
        nn.Linear(8, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 2)
    )


@pytest.fixture(scope="module")
def rows():
    draws = np.random.default_rng(0)
    inputs = draws.normal(size=(ROWS, 8)).astype(np.float32)
    return inputs, (inputs[:, :3].sum(axis=1) > 0).astype(np.int64)


@pytest.fixture(scope="module")
def engine(ray_cluster):
    with open_engine(f"ray:{ray_cluster.address}") as engine:
        yield engine


@pytest.fixture
def extra(ray_cluster, engine):
    """A node more, all of whose processors are free, as those of the others are: actors go there.

    A test takes it away.
    """
    import ray

    node = ray_cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    ray_cluster.wait_for_nodes()
    end = time.monotonic() + 120
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < end, "other tests' actors have kept processors"
        time.sleep(0.02)
    return node


def test_a_search_of_data_parallel_trials_loses_a_node(
    ray_cluster, engine, rows, tmp_path, monkeypatch, extra
):
    space = train.Space(lr=train.log_uniform(1e-4, 1e-1), width=[8, 16])
    settings = {
        "loss": "cross_entropy", "metric": "accuracy", "pruner": "halving", "trials": 4,
        "epochs": 4, "seed": 2, "batch_size": 32, "replicas": 2, "micro_batches": 2,
    }  # fmt: skip
    on_step = TrainingRun.on_step

    def losing(run, trial, step):
        on_step(run, trial, step)
        if not lost and step == 2:
            assert extra.node_id in [each.node for each in run._nodes._actors]
            ray_cluster.remove_node(extra, allow_graceful=False)
            lost.append(extra)

    lost = []
    monkeypatch.setattr(TrainingRun, "on_step", losing)
    there = train.search(
        build, space, rows, folder=tmp_path / "there", engine=engine, devices=3, **settings
    ).run()
    assert lost
    monkeypatch.undo()
    here = train.search(build, space, rows, folder=tmp_path / "here", devices=1, **settings).run()
    assert there.trials.drop("seconds").equals(here.trials.drop("seconds"))
    assert there.curves.equals(here.curves)
    found, expected = (each.best.module().state_dict() for each in (there, here))
    assert all(torch.equal(each, expected[name]) for name, each in found.items())


MANNERS = {
    "hopping": {"partitions": 3},
    "replicas": {"replicas": 3, "micro_batches": 3},
}


@pytest.mark.parametrize("manner", MANNERS)
def test_a_node_is_lost_while_a_model_trains_on_all(
    ray_cluster, engine, rows, tmp_path, monkeypatch, extra, manner
):
    settings = {
        "loss": "cross_entropy", "epochs": 3, "seed": 1, "batch_size": 24, **MANNERS[manner]
    }  # fmt: skip
    on_finished, devices = TrainingRun.on_finished, []

    def losing(run, event):
        on_finished(run, event)
        devices.append(event.device)
        if len(devices) == 4:
            assert extra.node_id in [each.node for each in run._nodes._actors]
            kill_all(extra)
            ray_cluster.remove_node(extra, allow_graceful=False)

    monkeypatch.setattr(TrainingRun, "on_finished", losing)
    said = io.StringIO()
    with reporting(LineReporter(said)):
        there = train.job(
            build, data=rows, folder=tmp_path / "there", engine=engine, devices=3, **settings
        ).run()
    assert set(devices) == {0, 1, 2}
    assert "its node is lost, it goes on at" in said.getvalue()
    monkeypatch.undo()
    here = train.job(build, data=rows, folder=tmp_path / "here", devices=1, **settings).run()
    found, expected = (each.state_dict() for each in (there, here))
    assert all(torch.equal(each, expected[name]) for name, each in found.items())


def kill_all(node):
    """End all processes of a node at one moment, as if its power was lost."""
    (own,) = node.all_processes["raylet"]
    doomed = [own.process.pid]
    os.kill(doomed[0], signal.SIGSTOP)  # it starts no other
    for each in doomed:
        doomed += children(each)
    for each in doomed:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


class Climb:
    """A made-up model whose state is one number a unit, and whose value is their sum."""

    def __init__(self, settings):
        self._slope, self._steps = settings["slope"], []

    def advance(self):
        self._steps.append(self._slope)
        return sum(self._steps)

    def save(self, folder):
        np.save(folder / "steps.npy", np.array(self._steps))

    def load(self, folder):
        self._steps = np.load(folder / "steps.npy").tolist()


def test_trials_of_any_objective(engine, tmp_path):
    space = train.Space(slope=[0.1, 0.2, 0.3, 0.4])
    rules = functools.partial(halving, most=4, eta=2)
    with Hunt(rules, 4, space, sampler="grid", folder=tmp_path) as hunt:
        run_trials(hunt, Climb, tmp_path, engine=engine, workers=2)
    assert hunt.settings(hunt.best.number) == {"slope": 0.4}
    assert hunt.best.curve[4] == pytest.approx(1.6)
    kept = np.load(tmp_path / f"trial-{hunt.best.number:04d}" / "steps.npy")
    assert kept.tolist() == [0.4] * 4
