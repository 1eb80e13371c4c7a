"""Small pipelines drawn: a row for each device, a column for each second, forward in capitals.

`A0` is forward of micro-batch 0, one second; `a0 a0` its backward, two; `..` is idle.
"""

from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.train.tasks.bubble import bubble_share, speed_up
from gristmill.train.tasks.policies import POLICIES, Policy, policy_of, shuffled
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.trial_graph import TrialGraph

GPIPE_2_3 = """
A0 A1 A2 .. .. .. a0 a0 a1 a1 a2 a2
.. A0 A1 A2 a0 a0 a1 a1 a2 a2 .. ..
"""

ONE_F_ONE_B_2_3 = """
A0 A1 .. .. a0 a0 A2 a1 a1 .. a2 a2
.. A0 a0 a0 A1 a1 a1 A2 a2 a2 .. ..
"""

ONE_F_ONE_B_3_3 = """
A0 A1 A2 .. .. .. .. a0 a0 .. a1 a1 .. a2 a2
.. A0 A1 .. .. a0 a0 A2 a1 a1 .. a2 a2 .. ..
.. .. A0 a0 a0 A1 a1 a1 A2 a2 a2 .. .. .. ..
"""


def drawn(timeline, second=1.0):
    """Return the drawing of a timeline without updates."""
    rows = []
    for row in timeline.by_device():
        cells = [".."] * round(timeline.end / second)
        for each in row:
            task = each.task
            letter = "A" if task.kind == "forward" else "a"
            for cell in range(round(each.start / second), round(each.end / second)):
                cells[cell] = f"{letter}{task.micro}"
        rows.append(" ".join(cells))
    return rows


def as_rows(drawing):
    return drawing.strip().splitlines()


def pipeline(equal, stages, micros, policy, devices=None, trials=1, steps=1):
    graphs = [TrialGraph(each, equal(stages, micros, "micro"), 0, steps) for each in range(trials)]
    return simulate(graphs, devices or stages, policy)


def test_gpipe_with_2_devices(equal):
    assert drawn(pipeline(equal, 2, 3, "gpipe")) == as_rows(GPIPE_2_3)


def test_1f1b_with_2_devices(equal):
    assert drawn(pipeline(equal, 2, 3, "1f1b")) == as_rows(ONE_F_ONE_B_2_3)


def test_1f1b_with_3_devices(equal):
    assert drawn(pipeline(equal, 3, 3, "1f1b")) == as_rows(ONE_F_ONE_B_3_3)


def test_two_trials_fill_each_others_bubbles(equal):
    timeline = pipeline(equal, 2, 2, "critical_path", trials=2, steps=20)
    assert 2 * timeline.utilisation >= 1.95
    assert 2 * pipeline(equal, 2, 2, "gpipe", steps=20).utilisation == pytest.approx(4 / 3)


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize(
    ("policy", "chunks"),
    [("gpipe", 1), ("1f1b", 1), ("critical_path", 1), ("interleaved", 2), ("interleaved", 3)],
)
def test_bubbles_are_those_of_the_formula(equal, devices, times, policy, chunks):
    micros = times * devices
    timeline = pipeline(equal, devices * chunks, micros, policy, devices)
    assert timeline.makespan == (chunks * micros + devices - 1) * 3
    share = bubble_share(devices, micros, chunks)
    assert 1 - timeline.utilisation == pytest.approx(share, abs=1e-12)
    assert timeline.utilisation * devices == pytest.approx(speed_up(devices, micros, chunks))


def kept_at_most(timeline, stage):
    """Return the most micro-batches of a stage between forward and backward."""
    kinds = ("forward", "backward")
    own = [each for each in timeline if each.task.stage == stage and each.task.kind in kinds]
    ends = sorted((each.end, each.task.kind == "forward") for each in own)
    kept = most = 0
    for _, forward in ends:
        kept += 1 if forward else -1
        most = max(most, kept)
    return most


def test_1f1b_keeps_fewer_micro_batches_than_gpipe(equal):
    for policy, expected in (("1f1b", [4, 3, 2, 1]), ("gpipe", [9, 9, 9, 9])):
        timeline = pipeline(equal, 4, 9, policy)
        assert [kept_at_most(timeline, stage) for stage in range(4)] == expected


def test_a_shape_bounds_what_is_kept_under_the_default_policy(equal):
    graph = TrialGraph(0, equal(3, 8, "micro", in_flight=2), 0, 1)
    timeline = simulate([graph], 3)
    assert [kept_at_most(timeline, stage) for stage in range(3)] <= [2, 2, 2]


def test_whole_trials_go_one_after_the_other(equal):
    graphs = [TrialGraph(each, equal(3), 0, 2) for each in range(2)]
    ran = [each.task.trial for each in simulate(graphs, 1, "whole_trials")]
    assert ran == sorted(ran)


def test_the_longest_remaining_trial_goes_first(equal):
    graphs = [TrialGraph(each, equal(2), 0, steps) for each, steps in enumerate([1, 3])]
    ran = [each.task for each in simulate(graphs, 1, "longest_remaining")]
    assert [task.trial for task in ran[:12]] == [1] * 12  # 2 of its 3 steps, then they alternate
    assert {task.trial for task in ran[12:16]} == {0, 1}


def test_random_order_repeats_under_its_seed(equal):
    def order(seed):
        graphs = [TrialGraph(each, equal(3), 0, 2) for each in range(4)]
        return [each.task for each in simulate(graphs, 1, shuffled(seed))]

    assert order(1) == order(1) != order(2)


def test_policies_by_name():
    assert {policy_of(name).name for name in POLICIES} == set(POLICIES)
    own = Policy("own", lambda graph, task: 0.0)
    assert policy_of(own) is own
    with pytest.raises(UsageError) as caught:
        policy_of("best")
    assert str(caught.value) == (
        "expected a policy, one of critical_path, longest_remaining, fifo, whole_trials, random, "
        "gpipe, 1f1b, interleaved, found 'best'"
    )


def test_interleaving_needs_as_many_stages_on_each_device(equal):
    with pytest.raises(UsageError, match="expected a multiple of 2 stages, as many on each device"):
        pipeline(equal, 3, 2, "interleaved", devices=2)
    with pytest.raises(UsageError) as caught:
        pipeline(equal, 4, 3, "interleaved", devices=2)
    assert str(caught.value) == (
        "expected a multiple of 2 micro-batches, one for each device of an interleaved pipeline, "
        "found 3\n  fix: use 4 micro-batches"
    )


def test_bubbles_need_devices():
    with pytest.raises(UsageError, match="expected at least 1 device, micro-batch and chunk"):
        bubble_share(0, 1)
