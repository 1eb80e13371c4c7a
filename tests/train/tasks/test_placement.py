"""Which device holds which stage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.tasks.placement import (
    in_turn_or_least_loaded,
    lane_seconds,
    least_loaded,
    round_robin,
)
from gristmill.train.tasks.trial_shape import StageCost, TrialShape


def shape_of(seconds):
    return TrialShape(tuple(StageCost(each, 2 * each) for each in seconds), 4, "micro")


def longest(shape, chosen, loads, speeds):
    ends = dict(loads)
    for device, seconds in zip(chosen, lane_seconds(shape), strict=True):
        ends[device] += seconds
    return max(ends[device] / speeds[device] for device in ends)


def test_lanes_are_the_stages_of_each_replica():
    shape = TrialShape((StageCost(1, 2, update=4), StageCost(2, 3)), 4, "micro", replicas=2)
    assert lane_seconds(shape) == [2 * 3 + 2, 2 * 5, 2 * 3 + 2, 2 * 5]


def test_round_robin_goes_round():
    assert round_robin(shape_of([1.0] * 5), [3, 7]) == [3, 7, 3, 7, 3]


def test_stages_that_differ_a_little_go_in_turn():
    shape = shape_of([1.03, 1.0, 1.0, 1.04])
    loads, speeds = {0: 0.0, 1: 0.0}, {0: 1.0, 1: 1.0}
    assert least_loaded(shape, loads, speeds, 1) == [1, 1, 0, 0]
    assert in_turn_or_least_loaded(shape, loads, speeds, 1) == [0, 1, 0, 1]


def test_stages_in_turn_begin_with_the_least_loaded_device():
    loads, speeds = {0: 0.3, 1: 0.0}, {0: 1.0, 1: 1.0}
    assert in_turn_or_least_loaded(shape_of([1.0] * 4), loads, speeds, 1) == [1, 0, 1, 0]


def test_no_more_stages_than_devices_go_where_there_is_least_to_do():
    loads, speeds = {0: 50.0, 1: 0.0, 2: 0.0}, {0: 1.0, 1: 1.0, 2: 1.0}
    assert in_turn_or_least_loaded(shape_of([1.0, 2.0]), loads, speeds, 1) == [2, 1]


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=9),
    st.lists(st.integers(0, 60), min_size=1, max_size=4),
)
def test_the_longest_load_is_about_that_of_longest_first(seconds, before):
    shape = shape_of([float(each) for each in seconds])
    loads = {device: float(load) for device, load in enumerate(before)}
    speeds = dict.fromkeys(loads, 1.0)
    least = longest(shape, least_loaded(shape, loads, speeds, 1), loads, speeds)
    found = longest(shape, in_turn_or_least_loaded(shape, loads, speeds, 1), loads, speeds)
    assert found <= 1.05 * least + 1e-9


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=7),
    st.integers(1, 3),
)
def test_longest_first_is_within_four_thirds_of_the_best(seconds, devices):
    shape = shape_of([float(each) for each in seconds])
    loads, speeds = dict.fromkeys(range(devices), 0.0), dict.fromkeys(range(devices), 1.0)
    work = lane_seconds(shape)
    bound = max(sum(work) / devices, max(work))
    found = longest(shape, least_loaded(shape, loads, speeds, 1), loads, speeds)
    best = min(
        longest(shape, each, loads, speeds) for each in all_placements(len(seconds), devices)
    )
    assert bound <= best + 1e-9
    assert found <= (4 / 3 - 1 / (3 * devices)) * best + 1e-9


def all_placements(stages, devices):
    if stages == 0:
        return [[]]
    return [
        [*rest, device] for rest in all_placements(stages - 1, devices) for device in range(devices)
    ]
