"""Devices on other machines: the bits of the plain loop, whatever is lost on the way.

The nodes are processes of this machine that share nothing with the run but connections; those of a
real cluster are in `test_ray_nodes.py`.
"""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from gristmill.core.errors import TrainError, UsageError
from gristmill.engine import Inline, LocalProcesses, using_engine
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.hopping import PartitionedFeed
from gristmill.train.jobs import nodes as nodes_module
from gristmill.train.jobs.nodes import Nodes, placed
from gristmill.train.jobs.relay import Address
from gristmill.train.jobs.resources import Resources
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.jobs.trial_spec import TrialSpec

CASES = {
    # grain, model, cuts, more of the trial
    "spilled": ("stage", "skips", (2, 5), {"held_out": 2}),
    "activations dropped": ("stage", "skips", (2, 5), {"dropped": (0, 1)}),
    "clipped": ("stage", "tied", (1, 2), {"clip_norm": 0.05, "optimizer": "momentum"}),
    "whole steps": ("step", "two", (), {"schedule": "cycle"}),
    "pipelined": ("micro", "sequential", (3,), {"micro_batches": 4}),
    "some frozen": ("stage", "frozen", (1,), {"optimizer": "adagrad"}),
    "replicas": ("step", "skips", (), {"micro_batches": 4, "replicas": 2, "clip_norm": 0.5}),
    "replicas of stages": ("stage", "frozen", (1,), {"micro_batches": 4, "replicas": 2}),
}
numbers = itertools.count()


def made(trials, case, **settings):
    """Return the trial of a case, and its plan and shape."""
    grain, model, cuts, more = CASES[case]
    more = {"micro_batches": 2, **more, **settings}
    dropped = more.pop("dropped", ())
    spec = trials.trial(model, **more)
    plan, shape = trials.planned(spec, model, cuts, dropped, grain, spilled=False)
    return spec, plan, msgspec.structs.replace(shape, replicas=spec.replicas)


@pytest.fixture(scope="module")
def run(trials, tmp_path_factory):
    """A run on two nodes, whose memory and its own hold a model but hardly two."""
    records = max(made(trials, case)[1].nbytes for case in CASES)
    with LocalProcesses(2) as engine:
        nodes = Nodes(engine, 2)
        devices = [
            msgspec.structs.replace(each, record_bytes=records // 2) for each in nodes.devices
        ]
        with TrainingRun(
            tmp_path_factory.mktemp("run"),
            devices=devices,
            memory=records + (1 << 16),
            commit_seconds=0.0,
            nodes=nodes,
        ) as run:
            yield run


def train(run, spec, plan, shape):
    number = next(numbers)
    run.add(number, plan, shape)
    return number, run.run()


@pytest.mark.parametrize("case", CASES)
def test_a_trial_equals_the_plain_loop(trials, run, case):
    spec, plan, shape = made(trials, case)
    number, timeline = train(run, spec, plan, shape)
    assert run.failures == {}
    assert trials.differences(run, number, spec) == []
    if spec.evaluation:
        assert run.figures(number)[spec.steps] == trials.expected_figures(spec)
    # A node makes the weights itself; those of a trial that stays on one are never sent there.
    assert timeline.traffic.down > 0
    run.retire(number, forget=True)


def test_trials_hop_to_the_nodes_of_their_rows(trials, run):
    like = trials.trial("tied", steps=12, micro_batches=2)
    draw = np.random.default_rng(0)
    parts = [
        Arrays(draw.normal(size=(rows, 8)).astype("float32"), targets=draw.integers(0, 3, rows))
        for rows in (24, 16)
    ]
    spec = TrialSpec(
        like.build, PartitionedFeed(parts, 8, 1, 0), like.objective, like.optimizer, 12, 2
    )
    number, timeline = train(run, spec, *trials.planned(spec, "tied", (), (), "step"))
    assert trials.differences(run, number, spec) == []
    mine = [each for each in timeline if each.task.trial == number]
    assert {each.device for each in mine} == {0, 1}
    for each in mine:
        assert each.device == spec.feed.visit_of(each.task.step).partition


def test_what_a_node_keeps_does_not_go_there_again(trials, run):
    spec, plan, shape = made(trials, "whole steps", steps=6)
    before = run._executor.copied
    train(run, spec, plan, shape)
    up, down = (now - then for now, then in zip(run._executor.copied, before, strict=True))
    assert up <= plan.nbytes  # once to the other device, if it changes hands
    assert down >= 6 * plan.nbytes // 2


def test_an_error_on_a_node_ends_its_trial_only(trials, run):
    bad, good = (made(trials, "clipped", seed=seed) for seed in (1, 2))
    object.__setattr__(bad[0], "objective", divided_by_zero)
    numbers_of = [next(numbers), next(numbers)]
    for number, (_, plan, shape) in zip(numbers_of, (bad, good), strict=True):
        run.add(number, plan, shape)
    run.run()
    assert list(run.failures) == numbers_of[:1]
    assert "ZeroDivisionError: division by zero" in run.failures.pop(numbers_of[0])
    assert trials.differences(run, numbers_of[1], good[0]) == []


def divided_by_zero(output, part):
    return output.sum() * (1 / 0)


def test_nodes_and_workers_are_lost_and_the_bits_are_the_same(trials, run):
    specs = [
        made(trials, "spilled", steps=10, held_out=5),
        made(trials, "replicas", steps=10, seed=1),
    ]
    numbers_of = [next(numbers) for _ in specs]
    for number, (_, plan, shape) in zip(numbers_of, specs, strict=True):
        run.add(number, plan, shape)
    lose = {
        20: lambda: run._crew.workers[1].pid,
        60: lambda: run._nodes._actors[0].pid,
    }
    turns = itertools.count()
    advance = run.scheduler.advance

    def losing():
        victim = lose.pop(next(turns), None)
        if victim is not None:
            os.kill(victim(), signal.SIGKILL)
        return advance()

    run.scheduler.advance = losing
    run.run()
    assert lose == {}
    assert run.failures == {}
    for number, (spec, *_) in zip(numbers_of, specs, strict=True):
        assert trials.differences(run, number, spec) == []
    lost, left = (each.address for each in run._nodes.facts)
    assert lost == left  # the device has moved in with the other


def test_a_node_is_lost_before_the_run_begins(trials, tmp_path):
    spec, *prepared = made(trials, "whole steps")
    with Nodes(Inline(), 2) as nodes:
        devices, left = nodes.devices, nodes.facts[1]
        nodes.facts[0] = replace(nodes.facts[0], address=Address(("127.0.0.1",), 1, b"key"))
        devices = [msgspec.structs.replace(each, record_bytes=1 << 20) for each in devices]
        with TrainingRun(tmp_path, devices=devices, memory=1 << 20, nodes=nodes) as run:
            assert nodes.facts == [left, left]
            number, _ = train(run, spec, *prepared)
            assert trials.differences(run, number, spec) == []


def test_a_node_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(nodes_module, "Foreman", Hidden)
    with pytest.raises(TrainError) as caught:
        Nodes(Inline(), 1)
    assert str(caught.value).startswith(
        "the node at 127.0.0.1:1 cannot be reached from this machine: "
    )


class Hidden:
    def __init__(self, rank):
        self._facts = nodes_module.Facts(Address(("127.0.0.1",), 1, b"key"), "far", 1, "AVX2")

    def facts(self):
        return self._facts


class Stateless:
    """An engine without actors, as Spark's is."""

    name, parallelism = "stateless", 3

    def workers(self, n, factory, *, cpus=None):
        raise UsageError("no workers that keep state")


def test_where_devices_are(tmp_path):
    assert placed(None, "cpu:2") == (None, "cpu:2")
    assert placed("local:3", "auto") == (None, 3)
    assert placed(Inline(), "auto") == (None, 1)
    assert placed("local", 2) == (None, 2)
    with using_engine(Inline()):
        assert placed(None, "auto") == (None, "auto")
    with pytest.raises(UsageError, match="no workers that keep state"):
        placed(Stateless(), "auto")
    with using_engine(Stateless()):
        assert placed(None, 2) == (None, 2)
    with pytest.raises(UsageError, match=r"^devices on an engine's nodes are counted"):
        Resources(tmp_path, "cuda", engine=Stateless())
