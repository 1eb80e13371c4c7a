"""Shapes that fit together, and the figures that follow from them."""

from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.train.tasks.placement import lane_seconds, least_loaded, round_robin
from gristmill.train.tasks.trial_shape import StageCost, TrialShape

STAGE = StageCost(1.0, 2.0, 0.5, norm=0.25, reduce=0.125, weight_bytes=4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stages": ()}, "expected at least one stage, found none"),
        ({"grain": "layer"}, "expected grain 'step', 'stage' or 'micro', found 'layer'"),
        ({"micro_batches": 0},
         "expected at least 1 micro-batch, replica and step per task, found 0, 1 and 1"),
        ({"micro_batches": 3, "replicas": 2},
         "expected micro-batches that 2 replicas share evenly, found 3"),
        ({"steps_per_task": 2},
         "expected grain 'step' and 1 replica with 2 steps per task, found 'stage' and 1"),
        ({"grain": "step", "micro_batches": 2, "replicas": 2, "steps_per_task": 3},
         "expected grain 'step' and 1 replica with 3 steps per task, found 'step' and 2"),
        ({"in_flight": -1}, "expected in_flight of 0 or more, found -1"),
    ],
)  # fmt: skip
def test_counts_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(UsageError) as caught:
        TrialShape(**{"stages": (STAGE,), **wrong})
    assert str(caught.value) == f"trial shape: {message}"


def test_seconds_are_finite():
    with pytest.raises(UsageError, match="stage cost: expected seconds, finite and at least 0, as"):
        StageCost(1.0, -2.0)


def test_a_step_is_all_its_work():
    assert TrialShape((STAGE,) * 2, 4).step_seconds == 2 * (4 * 3 + 0.5)
    clipped = TrialShape((STAGE,) * 2, 4, "micro", clipped=True, replicas=2)
    assert clipped.step_seconds == 2 * (4 * 3 + 0.5 + 0.25 + 0.125)
    assert (clipped.share, clipped.micros, clipped.weight_bytes) == (2, 2, 8)


def test_stages_know_their_first_shard():
    stages = tuple(StageCost(1, 1, shards=count) for count in (2, 3, 1))
    assert TrialShape(stages).first_shards == (0, 2, 5)


def test_lanes_go_to_the_devices_with_the_least_work():
    shape = TrialShape((StageCost(1, 1), StageCost(3, 3), StageCost(2, 2)), 2, "micro")
    assert lane_seconds(shape) == [4, 12, 8]
    assert least_loaded(shape, {0: 0.0, 1: 0.0}, {0: 1.0, 1: 1.0}, 1) == [1, 0, 1]
    assert least_loaded(shape, {0: 99.0, 1: 0.0}, {0: 1.0, 1: 1.0}, 1) == [1, 1, 1]
    assert round_robin(shape, [4, 7]) == [4, 7, 4]


def test_replicas_share_the_passes_and_the_end():
    shape = TrialShape((STAGE,), 4, "micro", replicas=2)
    assert lane_seconds(shape) == [2 * 3 + (0.5 + 0.125) / 2] * 2


@pytest.mark.parametrize("clipped", [False, True])
def test_the_first_task_after_the_join_adds_the_gradients(clipped):
    seconds = TrialShape((STAGE,) * 2, 4, "step", clipped=clipped, replicas=2).seconds
    assert seconds["gradient"] == (2 * 2 * 3,)
    assert seconds["norm"] == ((0.25 + 0.125 * clipped),)
    assert seconds["update"] == (0.5 + 0.125 * (not clipped),)
