from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.deadline_queue import DeadlineQueue
from gristmill.serve.scheduling.request import Request


def due(*deadlines):
    return [Request(1, 1.0, deadline, nbytes=10) for deadline in deadlines]


def filled(fleet, requests, **bounds):
    queue = DeadlineQueue(Bounds(**bounds), fleet)
    for request in requests:
        assert queue.append(request, 0.0)
    return queue


def shape(queue):
    return [[each.deadline for each in batch.requests] for batch in queue.batches]


def test_requests_join_the_last_batch_or_open_one_behind_it(make_fleet):
    queue = filled(make_fleet(1.0, 1.0), due(3, 3.5, 7))
    assert shape(queue) == [[3, 3.5], [7]]
    assert (queue.count, queue.work, queue.nbytes) == (3, 3.0, 30)


def test_an_earlier_deadline_joins_the_only_batch_but_no_place_behind_others(make_fleet):
    queue = filled(make_fleet(1.0, 1.0), due(5, 4))
    assert shape(queue) == [[5, 4]]
    assert queue.append(due(9)[0], 0.0)
    assert shape(queue) == [[5, 4, 9]]
    longer = filled(make_fleet(1.0, 1.0), due(3, 3.5, 7))
    assert not longer.append(due(6.5)[0], 0.0)


def test_what_would_be_late_is_not_appended(make_fleet):
    queue = filled(make_fleet(1.0, 1.0), due(3))
    assert not queue.append(due(3.5)[0], 1.0)
    assert queue.count == 1


def test_a_batch_that_starts_takes_in_what_stands_behind_it(make_fleet):
    queue = filled(make_fleet(1.0, 1.0), due(3, 3.5, 7, 8))
    head = queue.pop(3.0)
    assert [each.deadline for each in head.requests] == [3, 3.5, 7]
    assert (head.count, head.work) == (3, 3.0)
    assert shape(queue) == [[8]]
    assert (queue.count, queue.work, queue.nbytes) == (1, 1.0, 10)


def test_a_batch_is_cut_to_what_may_run(make_fleet):
    queue = filled(make_fleet(1.0, 1.0), due(9, 9, 9))
    assert len(queue.pop(2.5).requests) == 2
    assert len(queue.pop(-1.0).requests) == 1
    assert (queue.count, queue.work, queue.nbytes) == (0, 0.0, 0)


def test_it_stops_growing_where_more_does_not_pay(make_fleet):
    fleet = make_fleet(0.001, 0.01)
    queue = DeadlineQueue(Bounds(), fleet)
    queue.refit()
    assert round(queue.batch_work, 6) == 6.3  # 1 ms is a 64th of 64 ms


def test_a_line_becomes_late_as_time_goes_by(make_fleet):
    queue = filled(make_fleet(1.0, 1.0), due(3, 3.5, 7))
    assert not queue.late(0.0)
    assert queue.late(0.6)


def test_removed_requests_leave_nothing_behind(make_fleet):
    requests = due(3, 3.5, 7)
    queue = filled(make_fleet(1.0, 1.0), requests)
    queue.remove({requests[0], requests[2], Request(1, 1.0, 1.0)})
    assert shape(queue) == [[3.5]]
    assert (queue.count, queue.work, queue.nbytes) == (1, 1.0, 10)


def test_members_are_taken_from_wherever_they_stand(make_fleet):
    requests = due(3, 3.5, 7, 8, 9)
    queue = filled(make_fleet(1.0, 1.0), requests)
    batch = queue.take([requests[3], requests[0]])
    assert [each.deadline for each in batch.requests] == [8, 3]
    assert (batch.count, batch.work, batch.seconds) == (2, 2.0, 3.0)
    assert shape(queue) == [[3.5], [7, 9]]
    assert (queue.count, queue.work, queue.nbytes) == (3, 3.0, 30)
    assert not queue.late(1.5)


def test_every_bound_of_the_queue_counts(make_fleet):
    queue = filled(
        make_fleet(), due(1, 1), queue_rows=3, queue_bytes=100, queue_work=10.0, batch_rows=1
    )
    assert queue.fits(Request(1, 8.0, 1.0, nbytes=80))
    assert not queue.fits(Request(2, 1.0, 1.0))
    assert not queue.fits(Request(1, 8.5, 1.0))
    assert not queue.fits(Request(1, 1.0, 1.0, nbytes=81))


def test_the_end_is_as_if_all_batches_were_full(make_fleet):
    queue = filled(make_fleet(1.0, 1.0), due(100, 100, 100), batch_rows=2)
    assert queue.end(Request(1, 1.0, 100.0), 0.0) == 6.0


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 30)), max_size=12),
    st.lists(st.integers(-1, 6), max_size=12),
)
def test_sums_stay_true_and_nobody_is_lost(make_fleet, wanted, pops):
    queue, inside, out = DeadlineQueue(Bounds(batch_rows=4), make_fleet(1.0, 1.0)), [], []
    for rows, deadline in wanted:
        request = Request(rows, float(rows), float(deadline), nbytes=rows)
        if queue.append(request, 0.0):
            inside.append(request)
    for most in pops:
        if queue.batches:
            out += queue.pop(float(most)).requests
        assert sorted(map(id, [*out, *queue])) == sorted(map(id, inside))
        assert queue.count == queue.nbytes == sum(each.count for each in queue)
        assert queue.work == queue.count
