"""Schedules beside a slow list scheduler, and what happens to trials while they run."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.tasks.bounds import bounds
from gristmill.train.tasks.executor import Lost
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.policies import POLICIES, policy_of
from gristmill.train.tasks.scheduler import Scheduler
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.simulated import SimulatedDevices
from gristmill.train.tasks.task import Task
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost, TrialShape
from gristmill.train.tasks.watcher import Watcher

SECONDS = st.integers(1, 8).map(lambda eighths: eighths / 8)  # sums of these are exact


@st.composite
def shapes(draw, grains=("stage", "micro", "step")):
    stages = tuple(
        StageCost(
            draw(SECONDS), draw(SECONDS), draw(SECONDS), weight_bytes=8, state_bytes=16,
            boundary_bytes=1, recomputed=draw(st.booleans()), norm=0.125, reduce=0.25,
        )
        for _ in range(draw(st.integers(1, 4)))
    )  # fmt: skip
    replicas, grain = draw(st.integers(1, 2)), draw(st.sampled_from(grains))
    return TrialShape(
        stages,
        replicas * draw(st.integers(1, 3)),
        grain,
        clipped=draw(st.booleans()),
        replicas=replicas,
        spilled=grain != "step" and draw(st.booleans()),
        in_flight=draw(st.integers(0, 2)),
    )


def graphs_of(layouts):
    return [TrialGraph(trial, shape, 0, steps) for trial, (shape, steps) in enumerate(layouts)]


LAYOUTS = st.lists(st.tuples(shapes(), st.integers(1, 3)), min_size=1, max_size=4)
SOUND = sorted(set(POLICIES) - {"interleaved"})


@settings(max_examples=60, deadline=None)
@given(LAYOUTS, st.integers(1, 4), st.sampled_from(SOUND), st.sampled_from([0.0, 9.0]),
       st.booleans())  # fmt: skip
def test_every_schedule_obeys_its_graph(write_out, check, layouts, devices, policy, ahead, tight):
    machine = Machine.of(devices)
    if tight:
        machine = Machine(
            speeds=(1.0,) * devices, memory_bytes=24 * devices + 24, shared=True,
            read_bytes_per_second=64, write_bytes_per_second=64, duplex=False,
            hop_seconds=0.125, dispatch_seconds=0.125, contention=1.25,
        )  # fmt: skip
    graphs = graphs_of(layouts)
    for graph in graphs:
        if graph.shape.grain == "micro":
            graph.gate = policy_of(policy).gate(graph.shape, devices)
    waits = [write_out(graph) for graph in graphs]
    least = bounds(graphs, machine).makespan
    timeline = simulate(graphs, machine, policy, ahead_below=ahead)
    check(timeline, waits, [shape for shape, _ in layouts])
    assert timeline.makespan >= least - 1e-9
    again = simulate(graphs_of(layouts), machine, policy, ahead_below=ahead)
    assert list(again) == list(timeline)


def listed(graphs, devices, policy):
    """Return when each task starts under plain list scheduling, found by scanning all tasks.

    Idle devices that no ready task is bound to take the free tasks by rank, each its last device
    if it can; then the others take what ranks first of their own and of what is left.
    """
    key = policy_of(policy).key
    ready, ranked, started, running, bound, last = [], 0, {}, {}, {}, {}

    def rank(task):
        nonlocal ranked
        ranked += 1
        tied = task.kind in ("norm", "update")
        first = float("-inf") if tied else key(graphs[task.trial], task)
        return first, 0 if task.kind == "backward" else 1, task.trial, ranked, task

    def home(entry):
        return bound.get(binding(entry[4], graphs))

    def begin(device, entry):
        ready.remove(entry)
        started[entry[4]] = now
        running[device] = (now + graphs[entry[4].trial].seconds(entry[4]), entry[4])

    for graph in graphs:
        ready += [rank(task) for task in graph.ready()]
    now = 0.0
    while ready or running:
        idle = [device for device in range(devices) if device not in running]
        own = {home(each) for each in ready}
        loose = [device for device in idle if device not in own]
        for each in sorted(each for each in ready if home(each) is None):
            if loose:
                there = last.get((each[4].trial, each[4].stage))
                begin(loose.pop(loose.index(there) if there in loose else 0), each)
        for device in idle:
            allowed = [each for each in ready if home(each) in (None, device)]
            if device in own and allowed:
                begin(device, min(allowed))
        now = min(end for end, _ in running.values())
        for device, (end, task) in sorted(running.items()):
            if end == now:
                del running[device]
                bound[task.trial, task.step, task.stage] = device
                last[task.trial, task.stage] = device
                ready += [rank(each) for each in graphs[task.trial].finish(task)]
    return started


def binding(task, graphs):
    stage = graphs[task.trial].shape.stages[task.stage]
    free = task.kind in ("forward", "step") or (task.kind == "backward" and stage.recomputed)
    return None if free else (task.trial, task.step, task.stage)


@settings(max_examples=60, deadline=None)
@given(
    LAYOUTS,
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from(["critical_path", "longest_remaining", "whole_trials"]),
)
def test_starts_are_those_of_plain_list_scheduling(layouts, fused, devices, policy):
    plain = [
        (TrialShape(shape.stages, shape.micro_batches, "step" if fused else "stage"), steps)
        for shape, steps in layouts
    ]
    expected = listed(graphs_of(plain), devices, policy)
    timeline = simulate(graphs_of(plain), devices, policy, ahead_below=0.0)
    assert {each.task: each.start for each in timeline} == expected


# trials come and go ------------------------------------------------------------------------------


class Told(Watcher):
    """Notes what it is told; `then` maps a note to what to do on it."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []
        self.then: dict[tuple[object, ...], object] = {}

    def note(self, *note):
        self.notes.append(note)
        if note in self.then:
            self.then[note]()

    def on_step(self, trial, step):
        self.note("step", trial, step)

    def on_done(self, trial):
        self.note("done", trial)

    def on_paused(self, trial):
        self.note("paused", trial)

    def on_failed(self, trial, reason):
        self.note("failed", trial, reason)

    def on_lost(self, trial, step):
        self.note("lost", trial, step)
        return step


class Stand:
    """A scheduler over simulated devices, with all its parts at hand."""

    def __init__(self, graphs, devices=2, policy="critical_path", **more):
        self.graphs = {graph.trial: graph for graph in graphs}
        machine = devices if isinstance(devices, Machine) else Machine.of(devices)
        self.executor = SimulatedDevices(machine, self.graphs, **more)
        self.told = Told()
        self.scheduler = Scheduler(graphs, machine.speeds, policy, self.executor, watcher=self.told)

    def add(self, graph):
        self.graphs[graph.trial] = graph
        self.scheduler.add(graph)

    def run(self):
        return self.scheduler.run()


def test_a_trial_paused_at_a_step_goes_on_where_it_stood(equal):
    stand = Stand([TrialGraph(0, equal(2, grain="step"), 0, 4), TrialGraph(1, equal(2), 0, 2)])
    stand.told.then["step", 0, 2] = lambda: stand.scheduler.pause(0)
    stand.run()
    assert stand.scheduler.status(0) == "paused"
    assert stand.graphs[0].completed == 2
    assert stand.told.notes.count(("paused", 0)) == 1
    assert ("done", 1) in stand.told.notes
    stand.scheduler.resume(0)
    stand.run()
    assert [note[2] for note in stand.told.notes if note[:2] == ("step", 0)] == [1, 2, 3, 4]
    assert stand.scheduler.status(0) == "done"


def test_resume_up_to_a_step(equal):
    stand = Stand([TrialGraph(0, equal(2, 2, "micro"), 0, 5)])
    stand.graphs[0].hold(1)
    stand.run()
    assert stand.graphs[0].completed == 1
    stand.scheduler.resume(0, until=3)
    stand.run()
    assert (stand.graphs[0].completed, stand.scheduler.status(0)) == (3, "paused")


def test_pausing_is_exact_at_an_evaluation(equal):
    stand = Stand([TrialGraph(0, equal(3, 4, "micro"), 0, 6, evaluate_every=2)], 3)
    stand.told.then["step", 0, 2] = lambda: stand.scheduler.pause(0)
    stand.run()
    assert stand.graphs[0].completed == 2
    assert stand.graphs[0].at_boundary


def test_trials_are_added_and_stopped_while_others_run(equal):
    stand = Stand([TrialGraph(0, equal(2), 0, 9), TrialGraph(1, equal(2), 0, 3)])
    late = TrialGraph(2, equal(2), 0, 2)

    def swap():
        stand.scheduler.stop(0)
        stand.add(late)

    stand.told.then["step", 1, 1] = swap
    timeline = stand.run()
    assert stand.scheduler.status(0) == "stopped"
    assert late.done
    assert max(each.task.step for each in timeline if each.task.trial == 0) < 2
    assert not [note for note in stand.told.notes if note == ("done", 0)]


def test_a_failed_trial_does_not_stop_the_others(equal):
    broken = Task(0, 1, "backward", 1, -1)
    stand = Stand(
        [TrialGraph(trial, equal(3), 0, 3) for trial in range(3)], failing={broken: "loss is nan"}
    )
    timeline = stand.run()
    assert stand.told.notes.count(("failed", 0, "loss is nan")) == 1
    assert [stand.scheduler.status(trial) for trial in range(3)] == ["failed", "done", "done"]
    assert max(each.end for each in timeline if each.task.trial == 0) < timeline.end


@pytest.mark.parametrize("ahead", [0.0, 9.0])
def test_tasks_started_behind_a_failed_one_go_with_it(equal, ahead):
    broken = Task(0, 0, "forward", 0, -1)
    graphs = {0: TrialGraph(0, equal(3, spilled=True), 0, 3), 1: TrialGraph(1, equal(3), 0, 3)}
    executor = SimulatedDevices(Machine.of(1), graphs, failing={broken: "out of memory"})
    scheduler = Scheduler(graphs.values(), 1, "whole_trials", executor, ahead_below=ahead)
    timeline = scheduler.run()
    assert {each.task.trial for each in timeline} == {1}


def test_a_lost_device_puts_back_only_the_trials_that_were_there(write_out, check, equal):
    graphs = [TrialGraph(0, equal(2, 4, "micro", update=0.5), 0, 4),
              TrialGraph(1, equal(1, grain="step"), 0, 9)]  # fmt: skip
    stand = Stand(graphs, 3, losing={1: 16.0})
    timeline = stand.run()
    assert ("lost", 0, 1) in stand.told.notes
    assert not [note for note in stand.told.notes if note[:2] == ("lost", 1)]
    assert stand.scheduler.devices == (0, 2)
    assert all(each.end <= 16 for each in timeline if each.device == 1)
    last = {each.task: each for each in timeline}
    assert set(last) == {*write_out(TrialGraph(0, graphs[0].shape, 0, 4)),
                         *write_out(TrialGraph(1, graphs[1].shape, 0, 9))}  # fmt: skip
    assert stand.scheduler.status(0) == stand.scheduler.status(1) == "done"


@settings(max_examples=40, deadline=None)
@given(LAYOUTS, st.integers(1, 4), st.floats(0.1, 12), st.booleans())
def test_work_survives_the_loss_of_a_device_at_any_time(write_out, layouts, devices, when, back):
    back = back or devices == 1
    graphs = graphs_of(layouts)
    wanted = set().union(*(write_out(graph) for graph in graphs))
    stand = Stand(graphs, devices, losing={0: when})
    more = True
    while more:
        more = stand.scheduler.advance()
        if back and 0 not in stand.scheduler.devices:
            stand.scheduler.restore(0)
            back, more = False, True
    last = {each.task: each for each in stand.scheduler.timeline}
    assert set(last) == wanted
    assert all(graph.done for graph in graphs)


def test_a_restored_device_is_used_again(equal):
    stand = Stand([TrialGraph(trial, equal(1), 0, 5) for trial in range(2)], losing={0: 4.0})
    with pytest.raises(UsageError, match="expected a device that was lost, found 0"):
        stand.scheduler.restore(0)
    while stand.executor.now() < 6:
        stand.scheduler.advance()
    stand.scheduler.restore(0)
    timeline = stand.run()
    assert any(each.device == 0 and each.start >= 6 for each in timeline)


def test_the_last_device_ends_the_run(equal):
    stand = Stand([TrialGraph(0, equal(2), 0, 2)], 1, losing={0: 1.5})
    with pytest.raises(TrainError) as caught:
        stand.run()
    assert str(caught.value) == (
        "expected a device to go on with, found none: device 0 was the last\n"
        "  fix: resume: every trial goes on from its last committed step"
    )


def test_shapes_change_at_the_next_boundary(equal):
    stand = Stand([TrialGraph(0, equal(4, 4), 0, 3)], 2)
    stand.told.then["step", 0, 1] = lambda: stand.scheduler.reshape(
        0, equal(2, 4, "micro", forward=2.0, backward=4.0)
    )
    timeline = stand.run()
    micro = {each.task.step for each in timeline if each.task.micro >= 0}
    assert micro == {1, 2} or micro == {2}
    assert stand.graphs[0].done


def test_a_wait_without_end_is_an_error(equal):
    class Shut:
        def needs(self, stage, micro):
            return stage, micro

        def opens(self, stage, micro):
            return None

        holds = frees = opens

    graph = TrialGraph(0, equal(1, 2, "micro"), 0, 1, gate=Shut())
    graph.ready()[0]
    with pytest.raises(TrainError, match=re.escape(
        "expected a task that can run, found none while trials [0] are not done"
    )):  # fmt: skip
        Stand([graph]).run()


def test_calls_that_make_no_sense(equal):
    stand = Stand([TrialGraph(0, equal(1), 0, 1)])
    for wrong, message in [
        (lambda: stand.scheduler.resume(4), "expected a trial, one of [0], found 4"),
        (lambda: stand.add(TrialGraph(0, equal(1), 0, 1)),
         "expected a trial that is not here, found trial 0, which is running"),
        (lambda: Scheduler([], 0, "fifo", stand.executor),
         "expected devices with speeds above 0, found []"),
        (lambda: Scheduler([], [1.0], "best", stand.executor), "expected a policy, one of"),
    ]:  # fmt: skip
        with pytest.raises(UsageError, match=re.escape(message)):
            wrong()
    stand.run()
    with pytest.raises(UsageError, match=re.escape(
        "expected a trial that is running, found trial 0, which is done"
    )):  # fmt: skip
        stand.scheduler.pause(0)


def test_events_of_a_device_that_is_gone_are_ignored(equal):
    stand = Stand([TrialGraph(0, equal(1), 0, 3)], losing={1: 1.0})
    stand.scheduler.advance()
    while 1 in stand.scheduler.devices:
        stand.scheduler.advance()
    stand.scheduler._lost(Lost(1))
    stand.run()
    assert stand.graphs[0].done
