from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.train.jobs.trial_plan import BUFFERS, STATE, WEIGHTS, TrialPlan


def names(plan, section):
    return [
        entry.name
        for shard in plan.shards
        if section in shard.layouts
        for entry in shard.layouts[section].entries
    ]


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(1, 13)))
def test_every_tensor_is_in_one_record(trials, cuts):
    plan = TrialPlan.cut(trials.trial(), trials.graph_of("skips"), sorted(cuts))
    model = trials.Skips()
    held = names(plan, WEIGHTS) + names(plan, BUFFERS)
    assert sorted(held) == sorted(model.state_dict())
    assert {name.rsplit(".", 1)[1] for name in names(plan, BUFFERS)} == {
        "running_mean", "running_var", "num_batches_tracked"
    }  # fmt: skip
    owners = {name.split("/")[0] for name in names(plan, STATE)}
    assert owners == {name for name, _ in model.named_parameters()}
    assert plan.parameter_order == tuple(name for name, _ in model.named_parameters())
    assert [shard.first for shard in plan.shards] == [0, *sorted(cuts)]
    stage = plan.stage((0, len(plan.shards)))
    assert (stage.first, stage.last) == (0, 14)


def test_a_tied_weight_and_a_frozen_one(trials):
    tied = TrialPlan.cut(trials.trial("tied"), trials.graph_of("tied"), [1, 2])
    assert names(tied, WEIGHTS).count("first.weight") == 1
    frozen = TrialPlan.cut(trials.trial("frozen"), trials.graph_of("frozen"), [1])
    assert "first.weight" in names(frozen, WEIGHTS)
    assert not any(name.startswith("first.") for name in names(frozen, STATE))


def test_sections_and_what_is_kept(trials):
    graph = trials.graph_of("skips")
    plan = TrialPlan.cut(trials.trial("skips", "sgd"), graph, [1, 5], [1])
    assert list(plan.sections((0, 3), WEIGHTS, BUFFERS, STATE)) == [
        (0, WEIGHTS), (1, WEIGHTS), (1, BUFFERS), (2, WEIGHTS), (2, BUFFERS)
    ]  # fmt: skip
    assert [plan.keeps((at, at + 1)) for at in range(3)] == [True, False, True]
    assert not plan.keeps((0, 3))


@pytest.mark.parametrize("cuts", [[0], [14], [3, 3], [5, 2]])
def test_cuts_that_make_no_sense(trials, cuts):
    message = re.escape(f"cuts must ascend between 1 and 13, found {cuts}")
    with pytest.raises(UsageError, match=message):
        TrialPlan.cut(trials.trial(), trials.graph_of("skips"), cuts)
