"""Closed forms beside the longest path of the graph written out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.train.tasks.critical_path import CriticalPath
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost, TrialShape

SECONDS = st.integers(1, 9).map(float)


def longest(waits, seconds):
    """Return the seconds from the start of each task to the end of the last one, by recursion."""
    follows = {task: [] for task in waits}
    for task, before in waits.items():
        for each in before:
            follows[each].append(task)
    found = {}

    def path(task):
        if task not in found:
            found[task] = seconds(task) + max(map(path, follows[task]), default=0.0)
        return found[task]

    return {task: path(task) for task in waits}


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from(["stage", "micro", "step"]),
    st.integers(1, 2),
)
def test_passes_are_as_long_as_the_longest_path(write_out, costs, share, grain, replicas):
    stages = tuple(StageCost(forward, backward, reduce=0.5) for forward, backward in costs)
    shape = TrialShape(stages, share * replicas, grain, replicas=replicas)
    graph = TrialGraph(0, shape, 0, 1)
    paths = longest(write_out(graph), graph.seconds)
    found = CriticalPath(shape)
    for task, seconds in paths.items():
        if task.kind in ("forward", "backward", "gradient"):
            assert found.within(task) == pytest.approx(seconds)
    assert found.chain >= max(paths.values()) - 1e-9
    assert found.step >= found.chain - 1e-9


def test_a_step_of_a_pipeline_is_its_longest_stage_and_one_pass(equal):
    found = CriticalPath(equal(4, 8, "micro", update=0.5))
    assert found.step == (8 + 3) * 3 + 0.5
    assert found.chain == 8 * 3 + 3 * 3 + 0.5


def test_with_clipping_the_longest_update_counts():
    stages = (StageCost(1, 1, 0.5, norm=0.25), StageCost(1, 1, 4.0))
    assert CriticalPath(TrialShape(stages, clipped=True)).step == 4 + 0.25 + 4
    assert CriticalPath(TrialShape(stages)).step == 4 + 0.5
