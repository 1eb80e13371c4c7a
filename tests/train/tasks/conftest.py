"""The graph written out in full, and what every schedule has to obey: slow and plain to see."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest

from gristmill.train.tasks.task import Task
from gristmill.train.tasks.trial_shape import StageCost, TrialShape

TIED = ("norm", "update")


def written_out(graph) -> dict[Task, set[Task]]:
    """Return every task of a fresh graph with the tasks that it waits for, straight from the rules.

    Without evaluations, and with one step per task.
    """
    shape, gate = graph.shape, graph.gate
    waits: dict[Task, set[Task]] = {}
    for step in range(graph.completed, graph.end):
        if shape.grain == "step" and shape.replicas > 1:
            add_replicated_step(waits, graph.trial, step, shape, first=step == graph.completed)
            continue
        if shape.grain == "step":
            waits[Task(graph.trial, step, "step", -1, -1)] = (
                {Task(graph.trial, step - 1, "step", -1, -1)} if step > graph.completed else set()
            )
            continue
        add_step(waits, graph.trial, step, shape, gate, first=step == graph.completed)
    return waits


def add_step(waits, trial, step, shape, gate, *, first) -> None:
    stages = range(len(shape.stages))
    micros = shape.micro_batches // shape.replicas if shape.grain == "micro" else 1

    def number(replica, micro):
        return replica * micros + micro if shape.grain == "micro" else -1

    def task(kind, stage, micro, replica):
        return Task(trial, step, kind, stage, number(replica, micro), replica)

    def of_all(kind, stage, at=step):
        return {Task(trial, at, kind, stage, -1, replica) for replica in range(shape.replicas)}

    for replica in range(shape.replicas):
        for stage in stages:
            for micro in range(micros):
                before = set()
                if stage:
                    before.add(task("forward", stage - 1, micro, replica))
                if micro:
                    before.add(task("forward", stage, micro - 1, replica))
                if not first:
                    for each in stages if shape.clipped else [stage]:
                        before |= of_all("update", each, step - 1)
                if gate and (needed := gate.needs(stage, micro)):
                    before.add(task("backward", *needed, replica))
                waits[task("forward", stage, micro, replica)] = before
                after = {task("forward", stage, micro, replica)}
                if stage + 1 < len(stages):
                    after.add(task("backward", stage + 1, micro, replica))
                if micro:
                    after.add(task("backward", stage, micro - 1, replica))
                if gate and (held := gate.holds(stage, micro)):
                    after.add(task("forward", *held, replica))
                waits[task("backward", stage, micro, replica)] = after
    for stage in stages:
        ended = {task("backward", stage, micro, replica)
                 for micro in range(micros) for replica in range(shape.replicas)}  # fmt: skip
        if shape.clipped:
            waits |= dict.fromkeys(of_all("norm", stage), ended)
            ended = set().union(*(of_all("norm", each) for each in stages))
        waits |= dict.fromkeys(of_all("update", stage), ended)


def add_replicated_step(waits, trial, step, shape, *, first) -> None:
    def of_all(kind, at=step):
        return {Task(trial, at, kind, -1, -1, replica) for replica in range(shape.replicas)}

    before = set() if first else of_all("update", step - 1)
    for kind in ("gradient", "norm", "update") if shape.clipped else ("gradient", "update"):
        waits |= dict.fromkeys(of_all(kind), before)
        before = of_all(kind)


def check_schedule(timeline, graphs_waits, shapes) -> None:
    """Fail unless every task ran once, after what it waits for, alone on its device, at home."""
    ran = {each.task: each for each in timeline}
    waits = {task: before for each in graphs_waits for task, before in each.items()}
    assert len(timeline) == len(ran)
    assert set(ran) == set(waits)
    for task, before in waits.items():
        assert all(ran[each].end <= ran[task].start for each in before), task
    for row in timeline.by_device():
        assert all(a.end <= b.start for a, b in pairwise(row))
    check_homes(ran, shapes)


def check_homes(ran, shapes) -> None:
    """Backwards of a stage share a device with its end, and with forwards whose values are kept."""
    homes = defaultdict(set)
    for task, each in ran.items():
        shape = shapes[task.trial]
        if task.stage < 0:
            continue
        kept = shape.grain == "micro" or not shape.stages[task.stage].recomputed
        if task.kind == "backward" or task.kind in TIED or (task.kind == "forward" and kept):
            homes[task.trial, task.step, task.stage, task.replica].add(each.device)
    assert all(len(devices) == 1 for devices in homes.values())


@pytest.fixture(scope="session")
def write_out():
    return written_out


@pytest.fixture(scope="session")
def check():
    return check_schedule


@pytest.fixture(scope="session")
def equal():
    """A function that gives a shape of equal stages."""

    def make(stages, micro_batches=1, grain="stage", forward=1.0, backward=2.0, **more):
        cost = {name: more.pop(name) for name in list(more) if name in StageCost.__struct_fields__}
        stage = StageCost(forward, backward, **cost)
        return TrialShape((stage,) * stages, micro_batches, grain, **more)

    return make
