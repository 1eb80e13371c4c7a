"""Who gets which ready task."""

from __future__ import annotations

from gristmill.train.tasks.ready_queue import ReadyQueue
from gristmill.train.tasks.task import Task


def task(number, kind="forward"):
    return Task(number, 0, kind, 0, -1)


def test_the_least_key_goes_first_then_backward_then_the_lower_trial():
    queue = ReadyQueue()
    for each, key in [(task(3), 1.0), (task(2, "backward"), 1.0), (task(1), 1.0), (task(4), 0.0)]:
        queue.push(each, key, pinned=None, home=None)
    order = []
    while (entry := queue.top(0)) is not None:
        queue.take(entry)
        order.append(entry.task.trial)
    assert order == [4, 2, 1, 3]
    assert len(queue) == 0


def test_pinned_tasks_are_for_their_device():
    queue = ReadyQueue()
    queue.push(task(1), 1.0, pinned=1, home=None)
    assert queue.top(0) is None
    assert queue.free() is None
    assert queue.top(1).task == queue.pinned(1).task == task(1)


def test_a_dropped_task_may_come_back_elsewhere():
    queue = ReadyQueue()
    queue.push(task(1), 1.0, pinned=1, home=None)
    queue.drop(task(1))
    queue.push(task(1), 1.0, pinned=2, home=None)
    assert queue.top(1) is None
    assert queue.top(2).task == task(1)


def test_a_task_stays_home_unless_another_ranks_ahead_by_more_than_moving_costs():
    queue = ReadyQueue(moving=lambda each: 2.0)
    queue.push(task(1), 5.0, pinned=None, home=0)
    queue.push(task(2), 4.0, pinned=None, home=1)
    assert [queue.free(device).task.trial for device in (0, 1, 2)] == [1, 2, 2]
    queue.push(task(3), 1.0, pinned=None, home=1)
    assert queue.free(0).task.trial == 3
