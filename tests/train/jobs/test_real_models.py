"""Real models, cut and spilled: their loss curves and weights are the plain loop's, bit for bit.

Residual networks and U-Nets, whose skips cross cuts; a language model, whose first and last layers
share weights; the candidates of the SMS example, whose batches differ in length. They train all at
once, in memory that does not hold them all.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from gristmill.core.errors import DataError
from gristmill.train.graphs.capture import capture
from gristmill.train.graphs.deferred import Deferred
from gristmill.train.jobs.recipe import Recipe
from gristmill.train.jobs.reference import plain_loop
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.jobs.trial_plan import TrialPlan
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.tasks.trial_shape import StageCost, TrialShape
from gristmill.train.workers.machine import find_devices

ROOT = Path(__file__).parents[3]
OWN = ("train_workloads", "train_networks", "claims", "gpt", "reading")
MICRO_BATCHES = 2
SIZES = {
    "resnet": {"width": 4, "depth": 1},
    "unet": {"width": 4, "depth": 2},
    "gpt": {"width": 24, "depth": 2, "heads": 3},
    "sms_linear": {},
    "sms_mlp": {"dim": 8, "hidden": 8},
    "sms_cnn": {"dim": 8, "channels": 4},
    "sms_transformer": {"dim": 8, "layers": 2},
}


class Case(NamedTuple):
    """A trial, how it is cut, and what the plain loop makes of it."""

    name: str
    spec: TrialSpec
    plan: TrialPlan
    losses: dict[int, float]
    weights: dict[str, Tensor]


@pytest.fixture(scope="module")
def workloads() -> Iterator[ModuleType]:
    """The benchmarks' models and data: made up where they would need a network."""
    before = list(sys.path)
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "examples" / "language_model")]
    found = importlib.import_module("train_workloads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found.data, "load", _nowhere)
        found.messages.cache_clear()
        yield found
    found.messages.cache_clear()
    sys.path[:] = before
    for name in OWN:
        sys.modules.pop(name, None)


def _nowhere(name: str) -> None:
    raise DataError("no network in this test")


@pytest.fixture(scope="module")
def cases(workloads: ModuleType) -> list[Case]:
    """Each model, cut into three shards, the second of which makes its activations again."""
    found = []
    for name, sizes in SIZES.items():
        work = workloads.workloads("python")[name]
        recipe = Recipe(
            work.data(rows=40), work.loss, lr=work.lr, batch_size=16, micro_batches=MICRO_BATCHES
        )
        spec = recipe.trial(partial(work.factory, **sizes))
        parts = spec.feed.batch(0).split(MICRO_BATCHES)
        graph = capture(Deferred.of(spec.build, spec.seed).module, parts[0].inputs)
        count = len(graph.layers)
        cuts = sorted({max(1, count // 3), max(1, 2 * count // 3)} - {count})
        plan = TrialPlan.cut(spec, graph, cuts, [1] if cuts else [])
        losses: dict[int, float] = {}
        weights = plain_loop(spec, losses.__setitem__).state_dict()
        found.append(Case(name, spec, plan, losses, weights))
    return found


def shape_of(plan: TrialPlan, grain: str) -> TrialShape:
    stages = tuple(StageCost(0.002, 0.004, 0.001) for _ in plan.shards)
    return TrialShape(stages, MICRO_BATCHES, grain, spilled=grain == "stage")


def record_bytes(plan: TrialPlan) -> int:
    return sum(sum(shard.nbytes.values()) for shard in plan.shards)


def test_they_are_cut_and_not_by_their_blocks(cases: list[Case]) -> None:
    shards = dict.fromkeys(SIZES, 3) | {"sms_linear": 2}
    assert {each.name: len(each.plan.shards) for each in cases} == shards
    ways = {each.name: each.plan.graph.way for each in cases}
    assert ways["unet"] == ways["resnet"] == "exported"


@pytest.mark.parametrize("grains", [["stage"], ["stage", "micro"]], ids=["one", "two"])
def test_loss_curves_and_weights_are_the_plain_loops(
    grains: list[str], cases: list[Case], tmp_path: Path
) -> None:
    devices = find_devices(f"cpu:{len(grains)}")
    memory = int(0.8 * sum(record_bytes(each.plan) for each in cases))
    with TrainingRun(tmp_path, devices=devices, memory=memory) as run:
        for number, each in enumerate(cases):
            run.add(number, each.plan, shape_of(each.plan, grains[number % len(grains)]))
        run.run()
        assert run.failures == {}
        for number, each in enumerate(cases):
            assert run.losses(number) == each.losses, each.name
            found = run.state_dict(number)
            changed = [name for name in each.weights if not same(each.weights[name], found[name])]
            assert changed == [], each.name


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
