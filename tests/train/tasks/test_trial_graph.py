"""The lazy graph beside the one written out, and its life at step boundaries."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.tasks.gates import Depth, Flush, Interleaved
from gristmill.train.tasks.task import TIED, Task
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost, TrialShape


@st.composite
def graphs(draw):
    depth, replicas = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    grain = draw(st.sampled_from(["stage", "micro", "step"]))
    share = draw(st.integers(1, 4))
    shape = TrialShape(
        (StageCost(1.0, 2.0, 0.5),) * depth,
        share * replicas,
        grain,
        clipped=draw(st.booleans()),
        replicas=replicas,
    )
    gate = None
    if grain == "micro":
        choices = [None, Flush(share), Depth(tuple(draw(st.integers(1, 4)) for _ in range(depth)))]
        both = [each for each in range(1, depth + 1) if depth % each == 0 and share % each == 0]
        choices += [Interleaved(each, depth // each, share) for each in both]
        gate = draw(st.sampled_from(choices))
    return TrialGraph(0, shape, draw(st.integers(0, 2)), draw(st.integers(0, 3)), gate=gate)


@settings(max_examples=150, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_ready_tasks_are_those_of_the_graph_written_out(write_out, graph, random):
    waits = write_out(graph)
    finished, told = set(), list(graph.ready())
    while told:
        ready = {task for task, before in waits.items() if before <= finished} - finished
        assert set(told) == ready == set(graph.ready())
        assert len(told) == len(set(told))
        task = told.pop(random.randrange(len(told)))
        foreseen = graph.after(task)
        new = graph.finish(task)
        if task.kind in ("forward", "backward"):
            joins = graph.shape.replicas > 1
            assert foreseen == [each for each in new if not joins or each.kind not in TIED]
        finished.add(task)
        told += new
    assert finished == set(waits)
    assert graph.done
    assert graph.at_boundary
    assert graph.remaining_seconds == pytest.approx(0, abs=1e-9)


def drain(graph, tasks=None):
    """Finish everything in order; return the tasks' short names."""
    queue, names = list(graph.ready() if tasks is None else tasks), []
    while queue:
        task = queue.pop(0)
        names.append(f"{task.kind}{task.stage}@{task.step}")
        queue += graph.finish(task)
    return names


def test_fused_steps_end_at_evaluations_and_at_the_end(equal):
    graph = TrialGraph(0, equal(2, grain="step", steps_per_task=4), 1, 9, evaluate_every=3)
    spans = []
    queue = graph.ready()
    while queue:
        task = queue.pop(0)
        spans.append((task.kind, task.step, task.steps))
        queue += graph.finish(task)
    assert spans == [
        ("step", 1, 2), ("evaluate", 3, 1), ("step", 3, 3), ("evaluate", 6, 1), ("step", 6, 3),
        ("evaluate", 9, 1), ("step", 9, 1), ("evaluate", 10, 1),
    ]  # fmt: skip


def test_an_evaluation_passes_through_the_stages_between_two_steps(equal):
    graph = TrialGraph(0, equal(2), 0, 2, evaluate_every=1, evaluate_micro_batches=3)
    assert drain(graph) == [
        "forward0@0", "forward1@0", "backward1@0", "update1@0", "backward0@0", "update0@0",
        "evaluate0@1", "evaluate1@1",
        "forward0@1", "forward1@1", "backward1@1", "update1@1", "backward0@1", "update0@1",
        "evaluate0@2", "evaluate1@2",
    ]  # fmt: skip
    assert graph.done
    assert graph.seconds(Task(0, 1, "evaluate", 0, -1)) == 3


def test_the_next_step_overlaps_updates_of_later_stages_unless_clipped(equal):
    graph = TrialGraph(0, equal(2, update=1.0), 0, 2)
    for task in drain_to(graph, "backward0@0"):
        graph.finish(task)
    first = Task(0, 0, "update", 0, -1)
    assert graph.finish(first) == [Task(0, 1, "forward", 0, -1)]
    assert graph.completed == 0


def drain_to(graph, name):
    """Yield tasks in order up to the one named, leaving the updates out."""
    queue = graph.ready()
    while queue:
        task = queue.pop(0)
        if task.kind != "update":
            yield task
            queue = [each for each in graph.ready() if each.kind != "update"]
        if f"{task.kind}{task.stage}@{task.step}" == name:
            return


def test_a_held_graph_stops_at_the_boundary_and_goes_on(equal):
    graph = TrialGraph(0, equal(2), 0, 3)
    (task,) = graph.ready()
    graph.hold()
    assert drain(graph, [task])[-1] == "update0@0"
    assert graph.at_boundary
    assert not graph.done
    assert graph.ready() == []
    assert drain(graph, graph.release(2))[-1] == "update0@1"
    assert graph.completed == 2
    drain(graph, graph.release())
    assert graph.done


def test_a_step_that_was_only_opened_can_be_withdrawn(equal):
    graph = TrialGraph(0, equal(2, 2, "micro", replicas=2), 0, 1)
    opened = graph.ready()
    assert graph.withdraw() == opened
    assert graph.at_boundary
    assert graph.ready() == opened
    graph.finish(opened[0])
    assert graph.withdraw() == []


def test_another_shape_from_a_boundary_on(equal):
    graph = TrialGraph(0, equal(4), 0, 2)
    first = graph.ready()
    with pytest.raises(TrainError, match=re.escape(
        "trial 0: expected a step boundary to reshape at, found step 0 under way"
    )):  # fmt: skip
        graph.reshape(equal(2, 4, "micro"))
    graph.hold()
    drain(graph, first)
    graph.reshape(equal(2, 4, "micro"), Flush(4))
    assert len(drain(graph, graph.release())) == 2 * 2 * 4 + 2
    assert graph.done


def test_restart_forgets_what_was_done_since(equal):
    graph = TrialGraph(0, equal(2), 0, 2)
    (task,) = graph.ready()
    graph.finish(task)
    graph.restart(0)
    assert graph.ready() == [task]
    assert graph.remaining_seconds == 2 * graph.shape.step_seconds
    with pytest.raises(UsageError, match=r"a step from 0 to 0 to go back to, found 1"):
        graph.restart(1)


def test_restart_repeats_an_evaluation_that_was_not_done(equal):
    graph = TrialGraph(0, equal(1, grain="step"), 0, 2, evaluate_every=1)
    graph.finish(graph.ready()[0])
    graph.restart(1)
    assert [task.kind for task in graph.ready()] == ["evaluate"]
    graph.finish(graph.ready()[0])
    graph.restart(1)
    assert [task.kind for task in graph.ready()] == ["step"]


def test_a_trial_can_be_extended(equal):
    graph = TrialGraph(0, equal(1), 0, 1)
    drain(graph)
    assert [task.step for task in graph.extend(2)] == [1]
    drain(graph)
    assert graph.completed == graph.end == 3
    with pytest.raises(UsageError, match="expected 0 more steps or more, found -1"):
        graph.extend(-1)


def test_a_task_of_whole_steps_ends_where_the_data_lies_elsewhere(equal):
    shape = equal(1, grain="step", steps_per_task=4)
    graph = TrialGraph(0, shape, 0, 9, homes=lambda step: (step // 3 % 2, step - step % 3 + 3))
    assert drain(graph) == ["step-1@0", "step-1@3", "step-1@6"]


def test_a_task_is_finished_once(equal):
    graph = TrialGraph(3, equal(2), 0, 1)
    (task,) = graph.ready()
    graph.finish(task)
    with pytest.raises(TrainError) as caught:
        graph.finish(task)
    assert str(caught.value) == (
        "trial 3: expected one of 1 tasks that are out, found forward 0 of trial 3, step 0"
    )


def test_seconds_follow_the_grain(equal):
    def seconds(grain, task, **more):
        return TrialGraph(0, equal(3, 4, grain, update=0.5, **more), 0, 1).seconds(task)

    assert seconds("micro", Task(0, 0, "forward", 1, 2)) == 1
    assert seconds("stage", Task(0, 0, "backward", 1, -1)) == 8
    assert seconds("stage", Task(0, 0, "backward", 1, -1), replicas=2) == 4
    assert seconds("step", Task(0, 0, "step", -1, -1, 0, 2)) == 2 * (3 * 4 * 3 + 1.5)


@pytest.mark.parametrize("wrong", [{"first_step": -1}, {"steps": -1}, {"evaluate_every": -2}])
def test_steps_are_counted_from_0(equal, wrong):
    with pytest.raises(UsageError, match="trial 7: expected steps of 0 or more, found"):
        TrialGraph(7, equal(1), **wrong)
