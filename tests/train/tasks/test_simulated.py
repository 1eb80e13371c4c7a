"""Virtual time, worked out by hand."""

from __future__ import annotations

import pytest

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.simulated import SimulatedDevices
from gristmill.train.tasks.task import Task
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost, TrialShape


def one(shape, machine, steps=1, **more):
    return simulate([TrialGraph(0, shape, 0, steps)], machine, **more)


def machine(devices=1, **more):
    return Machine(speeds=(1.0,) * devices, **more)


def test_a_faster_device_takes_less_and_is_taken_first(equal):
    timeline = one(equal(1), Machine(speeds=(1.0, 2.0)))
    assert timeline.makespan == 1.5
    assert timeline.busy == (0.0, 1.5)


def test_handing_over_costs_every_task(equal):
    assert one(equal(2, update=1.0), machine(dispatch_seconds=0.25)).makespan == 8 + 6 * 0.25


def test_boundary_values_hop_between_devices_only(equal):
    shape = equal(2, 2, "micro", boundary_bytes=100)
    slow = {"hop_seconds": 0.5, "hop_bytes_per_second": 200.0}
    timeline = one(shape, machine(2, **slow))
    assert timeline.traffic.hopped == 4 * 100  # 2 micro-batches, there and back
    assert timeline.makespan == 1 + (1 + 1) + 2 + (1 + 1) + 2 + (2 + 1)  # the hops add to tasks
    assert one(shape, machine(1, **slow)).traffic.hopped == 0


def test_neighbours_slow_one_another_down_while_they_are_busy(equal):
    graphs = [TrialGraph(0, equal(1, grain="step"), 0, 1),
              TrialGraph(1, equal(1, grain="step", forward=2.0, backward=4.0), 0, 1)]  # fmt: skip
    timeline = simulate(graphs, machine(2, contention=2.0))
    ends = {each.task.trial: each.end for each in timeline}
    assert ends == {0: 6.0, 1: 6.0 + 3.0}


def test_reads_hide_behind_computing_where_they_are_shorter(equal):
    """Stage s + 1 is read while stage s computes; only the first read shows."""
    shape = equal(4, forward=1.0, backward=1.0, weight_bytes=50, spilled=True, recomputed=True)
    rates = {"read_bytes_per_second": 100.0, "write_bytes_per_second": 100.0}
    roomy = one(shape, machine(memory_bytes=100, **rates))
    assert roomy.traffic.read == 50 * 6  # the last two stages are still there on the way back
    assert roomy.end == 0.5 + 8
    tight = one(shape, machine(memory_bytes=50, **rates))
    assert tight.end > roomy.end


def test_reads_show_where_they_are_longer(equal):
    shape = equal(4, forward=1.0, backward=1.0, weight_bytes=200, spilled=True, recomputed=True)
    timeline = one(shape, machine(memory_bytes=400, read_bytes_per_second=100.0))
    assert timeline.traffic.read == 7 * 200 - 200
    assert timeline.makespan >= 6 * 2


def test_what_fits_is_read_once(equal):
    shape = equal(3, weight_bytes=10, state_bytes=20, spilled=True)
    timeline = one(shape, machine(memory_bytes=90, read_bytes_per_second=1e3), steps=5)
    assert timeline.traffic.read == 90


def test_the_newest_version_is_read_after_it_was_written(equal):
    """Each device has its own memory: what another one updated comes through the tier below."""
    shape = equal(1, weight_bytes=100, spilled=True, update=1.0, recomputed=True)
    graphs = [TrialGraph(trial, shape, 0, 4) for trial in range(3)]
    timeline = simulate(graphs, machine(2, memory_bytes=100, read_bytes_per_second=1e3,
                                        write_bytes_per_second=1e3))  # fmt: skip
    assert timeline.traffic.written == 3 * 4 * 100
    assert timeline.traffic.read > 3 * 100


def test_optimiser_state_is_read_for_updates_only(equal):
    shape = equal(2, weight_bytes=10, state_bytes=1000, spilled=True)
    graph = TrialGraph(0, shape, 0, 1)
    executor = SimulatedDevices(machine(memory_bytes=2020), {0: graph})
    (first,) = graph.ready()
    executor.start(0, first, ahead=False)
    executor.wait()
    assert executor.traffic.read == 10
    executor.start(0, Task(0, 0, "update", 0, -1), ahead=False)
    assert executor.traffic.read == 1010


def test_a_waiting_task_is_recalled_a_running_one_is_not(equal):
    graph = TrialGraph(0, equal(2, 2, "micro"), 0, 1)
    executor = SimulatedDevices(machine(), {0: graph})
    first, second = Task(0, 0, "forward", 0, 0), Task(0, 0, "forward", 0, 1)
    executor.start(0, first, ahead=False)
    executor.start(0, second, ahead=True)
    assert not executor.recall(0, first)
    assert executor.recall(0, second)
    assert not executor.recall(0, second)
    assert [event.task for event in executor.wait()] == [first]
    assert executor.wait() == []


def test_a_memory_too_small_for_a_task_is_said(equal):
    with pytest.raises(TrainError) as caught:
        one(equal(1, weight_bytes=2000, spilled=True), machine(memory_bytes=1000))
    assert str(caught.value) == (
        "simulated memory: expected records of one task that fit 1 KB, found 2 KB\n"
        "  fix: give it 2 KB or more, or cut the model into more shards"
    )


def test_tasks_that_wait_ahead_leave_room_for_those_before_them():
    """Records fill the memory: none is to hold what another device's first task waits for."""
    seconds = (2, 4, 5, False), (4, 4, 5, True), (3, 4, 8, True), (3, 2, 2, False)
    stages = tuple(
        StageCost(forward / 8, backward / 8, update / 8, weight_bytes=8, state_bytes=16,
                  boundary_bytes=1, recomputed=recomputed, norm=0.125, reduce=0.25)
        for forward, backward, update, recomputed in seconds
    )  # fmt: skip
    shape = TrialShape(
        stages, 4, "stage", clipped=True, replicas=2, spilled=True, in_flight=1
    )  # fmt: skip
    small = machine(3, memory_bytes=96, shared=True, duplex=False, read_bytes_per_second=64,
                    write_bytes_per_second=64, hop_seconds=0.125, dispatch_seconds=0.125,
                    contention=1.25)  # fmt: skip
    graphs = [TrialGraph(trial, shape, 0, 2) for trial in range(4)]
    simulate(graphs, small, "gpipe", ahead_below=9.0)
    assert all(graph.done for graph in graphs)


@pytest.mark.parametrize(
    "wrong", [{"speeds": ()}, {"speeds": (0.0,)}, {"read_bytes_per_second": 0.0},
              {"dispatch_seconds": -1.0}, {"contention": 0.5}],
)  # fmt: skip
def test_machines_have_figures_that_make_sense(wrong):
    with pytest.raises(UsageError, match="expected"):
        Machine(**{"speeds": (1.0,), **wrong})


def test_a_timeline_of_sums_alone_tells_the_same(equal):
    kept, summed = (one(equal(3, 2), 1, steps=2, keep=keep) for keep in (True, False))
    assert list(summed) == []
    assert (summed.makespan, summed.busy, len(summed)) == (kept.makespan, kept.busy, len(kept))
