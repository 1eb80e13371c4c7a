from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.jobs.identity import sure_code
from gristmill.train.jobs.planning import Planner
from gristmill.train.jobs.recipe import Recipe


def build(width: int = 16, depth: int = 3) -> nn.Module:
    hidden = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(depth)]
    return nn.Sequential(nn.Linear(4, width), *hidden, nn.Linear(width, 2))


class Opaque:
    """Something that has no stable fingerprint."""


@pytest.fixture(scope="module")
def recipe():
    rows = Arrays(np.ones((64, 4), np.float32), targets=np.zeros(64, np.int64))
    return Recipe(rows, "cross_entropy", batch_size=16, micro_batches=2)


@pytest.fixture
def planner(tmp_path):
    def make(memory, devices=2):
        return Planner(memory, devices, tmp_path, tmp_path / "layers")

    return make


def test_a_model_that_fits_is_one_task_a_step_and_cut_for_all_devices(planner, recipe):
    found = planner(50 << 20).prepare(recipe.trial(build))
    assert not found.memory.spilled
    assert (found.shape.grain, found.shape.spilled, len(found.plan.shards)) == ("step", False, 2)
    assert found.shape.steps_per_task > 1
    weights = sum(each.numel() * 4 for each in build().state_dict().values())
    assert weights <= found.record_bytes <= 4 * weights + 4 * 4096


def test_a_model_that_does_not_fit_is_spilled_shard_by_shard(planner, recipe):
    wide = recipe.trial(partial(build, 128))
    found = planner(600_000).prepare(wide)
    assert found.memory.spilled
    assert (found.shape.grain, found.shape.spilled) == ("stage", True)
    assert len(found.shape.stages) == len(found.plan.shards) > 1
    assert found.memory.pool_bytes + found.memory.private_bytes == 600_000


def test_spread_over_devices_before_it_is_spilled(planner, recipe):
    wide = recipe.trial(partial(build, 128))
    found = planner(700_000).prepare(wide, spread=True)
    assert (found.shape.grain, found.shape.spilled) == ("micro", False)
    assert len(found.shape.stages) == 2


def test_too_small_a_budget_names_the_layer_and_the_least(planner, recipe):
    with pytest.raises(TrainError, match=r"largest layer is .*\n  fix: give at least \d+"):
        planner(20_000).prepare(recipe.trial(partial(build, 128)))


def test_trials_of_one_architecture_share_what_is_captured_and_planned(planner, recipe):
    one = planner(50 << 20)
    first = one.prepare(recipe.trial(partial(build, 16)))
    other = one.prepare(recipe.with_settings({"lr": 0.5}).trial(partial(build, 16)))
    assert other.plan.graph is first.plan.graph
    assert other.memory is first.memory
    assert other.plan.spec is not first.plan.spec
    assert one.prepare(recipe.trial(partial(build, 8))).plan.graph is not first.plan.graph


def test_code_is_sure_only_where_all_of_it_is_seen():
    assert sure_code(build) == sure_code(build) != sure_code(partial(build, 8))
    assert sure_code(partial(build, 8)) == sure_code(partial(build, 8))
    assert sure_code(partial(build, 8)) != sure_code(partial(build, width=8))
    assert sure_code(partial(build, Opaque())) is None
    assert sure_code(Opaque()) is None
    twice, thrice = (_scaled(each) for each in (2, 3))
    assert sure_code(twice) != sure_code(thrice)


def _scaled(scale):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, inputs):
            return inputs * scale * self.weight

    return lambda: Scaled()
