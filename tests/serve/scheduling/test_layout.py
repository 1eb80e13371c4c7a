from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.scheduling.layout import Planned, lay_out
from gristmill.serve.scheduling.request import Request

INF = float("inf")


def laid(requests, fleet, now=0.0, rows=64, work=INF, skipped=None):
    ordered = sorted(requests, key=lambda each: each.deadline)
    return lay_out(ordered, fleet, now, rows, work, skipped)


def due(*deadlines):
    return [Request(1, 1.0, deadline) for deadline in deadlines]


def shape(batches):
    return [[each.deadline for each in batch.requests] for batch in batches]


def test_all_share_a_batch_that_is_in_time_for_all(make_fleet):
    batches, stuck = laid(due(7, 6, 5), make_fleet(1.0, 1.0))
    assert (shape(batches), stuck) == ([[5, 6, 7]], None)


def test_a_batch_stops_growing_at_its_earliest_deadline(make_fleet):
    #  0    1    2    3    4    5    6
    #  | fixed | 3 | 3.5 | fixed | 7 |
    batches, stuck = laid(due(3, 3.5, 7), make_fleet(1.0, 1.0))
    assert (shape(batches), stuck) == ([[3, 3.5], [7]], None)
    assert [batch.ahead for batch in batches] == [0.0, 3.0]


def test_one_that_has_no_place_ends_it(make_fleet):
    requests = due(2, 3, 9)
    batches, stuck = laid(requests, make_fleet(1.0, 1.0))
    assert (shape(batches), stuck) == ([[2]], requests[1])


def test_or_is_skipped(make_fleet):
    requests, skipped = due(2, 3, 9), []
    batches, stuck = laid(requests, make_fleet(1.0, 1.0), skipped=skipped)
    assert (shape(batches), stuck, skipped) == ([[2], [9]], requests[1], [requests[1]])


def test_rows_and_work_bound_a_batch(make_fleet):
    fleet = make_fleet()
    assert shape(laid(due(1, 2, 3), fleet, rows=2)[0]) == [[1, 2], [3]]
    assert shape(laid(due(1, 2, 3), fleet, work=1.5)[0]) == [[1], [2], [3]]


def test_a_batch_of_several_counts_them(make_fleet):
    members = [Request(2, 3.0, 9.0, nbytes=5), Request(1, 1.0, 4.0, nbytes=6)]
    batch = Planned.of(members, 7.0, make_fleet(1.0, 2.0))
    assert (batch.count, batch.work, batch.nbytes) == (3, 4.0, 11)
    assert (batch.due, batch.last, batch.ahead, batch.seconds) == (4.0, 9.0, 7.0, 9.0)


requests_of_a_row = st.lists(
    st.builds(Request, st.just(1), st.integers(1, 4).map(float), st.integers(1, 25).map(float)),
    max_size=5,
)


@settings(deadline=None, max_examples=150)
@given(requests_of_a_row, st.integers(0, 4), st.integers(1, 3))
def test_a_place_for_all_is_found_whenever_there_is_an_order(
    make_fleet, in_time_somehow, requests, fixed, rows
):
    fleet = make_fleet(float(fixed), 1.0)
    _, stuck = laid(requests, fleet, rows=rows)
    assert (stuck is None) == in_time_somehow(requests, float(fixed), 1.0, rows)


@given(requests_of_a_row, st.integers(0, 4), st.integers(1, 3), st.floats(1, 9))
def test_what_is_laid_out_is_in_time_and_there_once(make_fleet, requests, fixed, rows, work):
    fleet, skipped, now = make_fleet(float(fixed), 1.0), [], 0.0
    batches, _ = laid(requests, fleet, rows=rows, work=work, skipped=skipped)
    members = [each for batch in batches for each in batch.requests]
    assert sorted(map(id, members + skipped)) == sorted(map(id, requests))
    for batch in batches:
        now += fixed + sum(each.work for each in batch.requests)
        assert batch.due >= now
        assert batch.count <= rows
        assert batch.work <= work or len(batch.requests) == 1
