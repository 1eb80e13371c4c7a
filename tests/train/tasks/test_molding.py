"""Trials that change shape, and the stages that shards are merged into."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.tasks.merging import balanced, merge
from gristmill.train.tasks.molding import Molding
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost, TrialShape


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.data())
def test_the_longest_merged_stage_is_as_short_as_can_be(costs, data):
    stages = data.draw(st.integers(1, len(costs)))
    shards = tuple(StageCost(float(each), 0.0, weight_bytes=each) for each in costs)
    found = balanced(shards, stages)
    cuts = ([0, *inner, len(costs)] for inner in combinations(range(1, len(costs)), stages - 1))
    best = min(max(sum(costs[a:b]) for a, b in pairwise(cut)) for cut in cuts)
    assert len(found) == stages
    assert max(each.forward for each in found) == best
    assert sum(each.shards for each in found) == len(costs)
    assert sum(each.weight_bytes for each in found) == sum(costs)


def test_merged_shards_hand_on_the_last_boundary():
    parts = (StageCost(1, 2, boundary_bytes=5, recomputed=True), StageCost(1, 2, boundary_bytes=7))
    assert merge(parts) == StageCost(2, 4, boundary_bytes=7, shards=2)


def trials(lengths, steps=40, micros=8, **more):
    return [
        TrialGraph(trial, TrialShape((StageCost(x / 96, 2 * x / 96),) * 4, micros, "step", **more),
                   0, steps)
        for trial, x in enumerate(lengths)
    ]  # fmt: skip


def test_a_lone_trial_takes_all_devices_it_gains_from():
    alone = simulate(trials([1.0]), 4).makespan
    molded = simulate(trials([1.0]), 4, reshaper=Molding())
    assert alone / molded.makespan == pytest.approx(4 * 8 / 11, rel=0.02)
    assert max(each.task.stage for each in molded) == 3


def finely_cut(steps=20, micros=8):
    shape = TrialShape((StageCost(1 / 96, 2 / 96),) * 8, micros, "step")
    return [TrialGraph(0, shape, 0, steps)]


def test_a_pipeline_over_all_devices_has_several_stages_on_each():
    work = 20 * 8 * 8 * 3 / 96
    molded = simulate(finely_cut(), 2, reshaper=Molding())
    assert max(each.task.stage for each in molded) + 1 in (4, 8)
    assert work / molded.makespan > 1.85  # 16 / 9 with one stage on each
    places = {each.task.stage: each.device for each in molded if each.task.kind == "forward"}
    assert places == {stage: stage % 2 for stage in places}


def test_a_pipeline_has_one_stage_on_each_where_more_do_not_fit_or_do_not_pay():
    coarse = Molding(fits=lambda shape: shape.in_flight == 2)
    slow = Molding(dispatch_seconds=10.0)
    for molding in (coarse, slow):
        timeline = simulate(finely_cut(), 2, reshaper=molding)
        assert max(each.task.stage for each in timeline) <= 1


def test_among_others_a_pipeline_has_one_stage_on_each_of_its_devices():
    shape = TrialShape((StageCost(1 / 96, 2 / 96),) * 8, 8, "step")
    layouts = Molding().layouts(shape, 4)
    assert [(each.devices, len(each.shape.stages)) for each in layouts[1:3]] == [(2, 2), (3, 3)]
    assert layouts[3].devices == 4
    assert len(layouts[3].shape.stages) in (4, 8)


def test_replicas_are_taken_only_where_allowed():
    timeline = simulate(trials([1.0]), 4, reshaper=Molding())
    assert {each.task.replica for each in timeline} == {0}
    molding = Molding(replicated=True, pipelined=False)
    timeline = simulate(trials([1.0]), 4, reshaper=molding)
    assert {each.task.replica for each in timeline} == {0, 1, 2, 3}
    assert {each.task.kind for each in timeline} == {"gradient", "update"}


def test_as_many_replicas_as_micro_batches_round_alike():
    graphs = trials([1.0], micros=4)
    assert {each.task.replica for each in simulate(graphs, 4, reshaper=Molding())} == {0}
    timeline = simulate(trials([1.0], micros=4, replicable=True), 4, reshaper=Molding())
    assert {each.task.replica for each in timeline} == {0, 1, 2, 3}
    assert timeline.makespan == pytest.approx(40 * 4 / 96 * 3)


def test_replicas_that_a_trial_comes_with_stay():
    timeline = simulate(trials([1.0], replicas=2), 4, reshaper=Molding())
    assert {each.task.replica for each in timeline} == {0, 1}
    assert {each.task.stage for each in timeline} == {-1}


def test_a_trial_whose_data_stays_where_it_is_keeps_its_shape():
    graph = trials([1.0])[0]
    graph.homes = lambda step: (step % 2, step + 1)
    timeline = simulate([graph], 2, reshaper=Molding())
    assert {each.task.kind for each in timeline} == {"step"}
    assert [each.device for each in timeline] == [step % 2 for step in range(40)]


def test_equal_trials_as_many_as_devices_stay_as_they_are():
    molded = simulate(trials([1.0] * 4), 4, reshaper=Molding())
    assert {each.task.kind for each in molded} == {"step"}


def test_one_micro_batch_cannot_be_spread():
    graphs = trials([1.0], micros=1)
    assert {each.task.kind for each in simulate(graphs, 4, reshaper=Molding())} == {"step"}


def test_shapes_that_do_not_fit_are_left_out():
    molding = Molding(fits=lambda shape: len(shape.stages) != 4)
    timeline = simulate(trials([1.0]), 4, reshaper=molding)
    assert max(each.task.stage for each in timeline) == 1  # 3 stages of 4 shards gain nothing


def test_at_most_so_many_devices_for_a_trial():
    timeline = simulate(trials([1.0]), 4, reshaper=Molding(most=2))
    assert max(each.task.stage for each in timeline) == 1


def test_the_tail_is_spread(write_out):
    draw = random.Random(3)
    lengths = [draw.lognormvariate(0, 0.5) for _ in range(12)]
    work = sum(graph.remaining_seconds for graph in trials(lengths))
    alone = simulate(trials(lengths), 8, "longest_remaining")
    molded = simulate(trials(lengths), 8, reshaper=Molding())
    assert work / 8 / molded.makespan > 0.9 > work / 8 / alone.makespan
    assert sum(molded.busy) == pytest.approx(work)
