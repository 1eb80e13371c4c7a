import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.scheduling.fleet import Fleet
from gristmill.serve.scheduling.request import Batch


def batch(work, replica=0, began=0.0):
    return Batch([], 1, work, replica, began)


def test_one_replica_starts_a_batch_when_those_before_it_are_done(make_fleet):
    fleet = make_fleet(1.0, 0.5)
    assert fleet.start(0.0, 5.0) == 5.0
    running = batch(4.0, began=5.0)
    fleet.begin(running)
    assert running.ends == 8.0
    assert fleet.start(2.0, 6.0) == 10.0
    assert fleet.start(2.0, 9.0) == 11.0  # it is late already: any moment now
    assert not fleet.idle()
    fleet.end(running, 3.0, 8.5)
    assert fleet.idle()
    assert fleet.start(0.0, 8.5) == 8.5


def test_batches_queue_up_in_a_replica(make_fleet):
    fleet = make_fleet(1.0, 0.0)
    first, second = batch(1.0), batch(1.0)
    fleet.begin(first)
    fleet.begin(second)
    assert second.ends == 2.0
    fleet.end(first, 1.0, 1.2)
    assert fleet.start(0.0, 1.2) == 2.0


def test_an_idle_replica_is_not_delayed_by_a_busy_one(make_fleet):
    fleet = make_fleet(100.0, 0.0, replicas=2)
    fleet.begin(batch(1.0, replica=1))
    assert fleet.start(0.0, 0.0) == 0.0


def test_the_mean_is_of_those_that_have_run():
    fleet = Fleet(3)
    for replica, speed in ((0, 1.0), (2, 3.0)):
        for work in (1.0, 10.0):
            fleet.observe(replica, work, speed * (1.0 + work))
    assert fleet.fixed == pytest.approx(2.0)
    assert fleet.upper(10.0) == pytest.approx(22.0, rel=0.01)


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=4),
    st.lists(st.floats(0.1, 30), max_size=8),
)
def test_a_list_schedule_never_starts_later(free, line):
    fleet = Fleet(len(free))
    for replica, at in enumerate(free):
        fleet.models[replica].fixed = at
        fleet.begin(batch(0.0, replica=replica))
    heap = list(free)
    heapq.heapify(heap)
    for seconds in line:
        heapq.heapreplace(heap, heap[0] + seconds)
    bound = fleet.start(sum(line), 0.0)
    assert heap[0] <= bound + 1e-9
    if len(free) == 1:
        assert heap[0] == pytest.approx(bound)


def test_of_short_batches_one_in_a_millisecond_is_learnt_from():
    fleet = Fleet(1)
    for _ in range(128):
        fleet.observe(0, 1.0, 1e-4)
    learnt = []
    for at in range(50):
        running = batch(1.0, began=at * 1e-4)
        fleet.begin(running)
        learnt.append(fleet.end(running, 1e-4, (at + 1) * 1e-4))
    assert 4 <= sum(learnt) <= 6
    assert fleet.models[0].seen == 128 + sum(learnt)
    assert fleet.idle()


def test_which_batch_is_learnt_from_does_not_depend_on_its_time():
    fleet = Fleet(1)
    for _ in range(128):
        fleet.observe(0, 1.0, 1e-4)
    for at, seconds, learnt in ((0.0, 1e-4, True), (5e-4, 9e-1, False), (2.0, 1e-4, True)):
        running = batch(1.0, began=at)
        fleet.begin(running)
        assert fleet.end(running, seconds, at + seconds) == learnt
