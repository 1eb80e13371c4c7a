import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.deadline_queue import DeadlineQueue
from gristmill.serve.scheduling.request import Request
from gristmill.serve.scheduling.shedding import best_first, displace, repair, widen

INF = float("inf")


@pytest.fixture(scope="session")
def make_queue(make_fleet):
    def make(requests, fixed=0.0, per_work=1.0, **bounds):
        queue = DeadlineQueue(Bounds(**bounds), make_fleet(fixed, per_work))
        batches, stuck = queue.lay_out(list(requests), -INF)
        assert stuck is None
        queue.replace(batches)
        return queue

    return make


def most_of(queue):
    fleet = queue.fleet
    return lambda seconds: (seconds - fleet.fixed) / fleet.per_work


def test_the_worst_go_first_and_among_them_the_largest(make_queue):
    low, small, large = (Request(1, work, 9.0, p) for work, p in ((3.0, 1), (1.0, 2), (2.0, 2)))
    queue = make_queue([low, small, large], batch_rows=1)
    assert displace(queue, [Request(1, 4.0, 9.0)], 0.0).gone == [large]
    assert displace(queue, [Request(1, 5.5, 9.0)], 0.0).gone == [large, small]
    assert displace(queue, [Request(1, 5.5, 9.0, 1)], 0.0).gone == [large, small]
    assert displace(queue, [Request(1, 1.0, 9.0, 2)], 0.0) is None
    assert displace(queue, [Request(1, 10.0, 9.0)], 0.0) is None


def test_repair_lets_go_of_those_who_would_be_late_in_any_case(make_queue):
    gone, stays = Request(1, 1.0, 5.0), Request(1, 1.0, 9.0)
    way = repair(make_queue([gone, stays]), 4.5)
    assert (way.gone, [batch.requests for batch in way.batches]) == ([gone], [[stays]])


def test_repair_spares_the_better_priority(make_queue):
    worse, better = Request(1, 1.0, 5.0, 1), Request(1, 1.0, 5.0, 0)
    for line in ([worse, better], [better, worse]):
        assert repair(make_queue(line, batch_rows=1), 3.5).gone == [worse]


def test_who_keeps_a_batch_small_makes_room(make_queue):
    tight, others = Request(1, 1.0, 12.0), [Request(1, 1.0, 30.0) for _ in range(9)]
    queue = make_queue([tight, *others], fixed=10.0)
    assert widen(queue, most_of(queue), 0.0, 0) == [tight]


@pytest.mark.parametrize(
    ("fixed", "tight", "others"),
    [
        (10.0, (12.0, 0), (30.0, 1)),  # the tight one has the better priority
        (0.01, (2.0, 0), (30.0, 0)),  # the fixed part is small: little is wasted
        (10.0, (40.0, 0), (30.0, 0)),  # nobody is tight
    ],
)
def test_otherwise_nobody_does(make_queue, fixed, tight, others):
    line = [Request(1, 1.0, *tight), *(Request(1, 1.0, *others) for _ in range(9))]
    queue = make_queue(line, fixed=fixed)
    assert widen(queue, most_of(queue), 0.0, 0) == []


def test_nobody_goes_who_matters_more_than_those_for_whom_there_is_no_time(make_queue):
    line = [Request(1, 1.0, due) for due in (12.0, *[30.0] * 9)]
    queue = make_queue(line, fixed=10.0)
    assert widen(queue, most_of(queue), 0.0, 1) == []


def test_smaller_numbers_run_first_and_among_them_the_most_urgent(make_queue):
    low, urgent, calm = Request(1, 1.0, 5.0, 2), Request(1, 1.0, 8.0), Request(1, 1.0, 9.0)
    queue = make_queue([low, calm, urgent])
    limits = {0: INF, 2: INF}
    assert best_first(queue, most_of(queue), limits, 0.0) == [urgent, calm, low]
    assert best_first(queue, most_of(queue), limits, 3.0) == [urgent, calm]
    assert best_first(queue, most_of(queue), {0: INF, 2: 2.0}, 0.0) == [urgent, calm]


def test_parts_of_a_large_request_are_not_shed_one_by_one(make_queue):
    parts = Request(4, 4.0, 13.0).split(2, INF)
    queue = make_queue([*parts, *(Request(1, 1.0, 30.0) for _ in range(9))], fixed=10.0)
    assert widen(queue, most_of(queue), 0.0, 0) == []


lines = st.lists(
    st.builds(
        Request,
        st.integers(1, 3),
        st.integers(1, 5).map(float),
        st.integers(1, 40).map(float),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(lines, st.integers(0, 8), st.integers(0, 30))
def test_a_repaired_line_is_in_time_and_nobody_is_lost(make_queue, line, fixed, now):
    queue = make_queue(line, float(fixed), batch_rows=5)
    way = repair(queue, float(now))
    stay = [each for batch in way.batches for each in batch.requests]
    assert sorted(map(id, [*stay, *way.gone])) == sorted(map(id, line))
    queue.replace(way.batches)
    assert not queue.late(float(now))


@settings(deadline=None)
@given(lines, st.integers(0, 8), st.integers(1, 12))
def test_who_runs_first_is_in_time_together_and_nobody_better_is_left_out(
    make_queue, line, fixed, limit
):
    queue = make_queue(line, float(fixed), batch_rows=5)
    most = most_of(queue)
    limits = {0: INF, 1: float(limit), 2: float(limit)}
    members = best_first(queue, most, limits, 0.0)
    work, rows = sum(each.work for each in members), sum(each.count for each in members)
    assert members
    assert rows <= 5
    due = min(each.deadline for each in members)
    if len(members) > 1:
        assert work <= min(most(due), limits[max(each.priority for each in members)])
    for each in set(queue) - set(members):
        if each.priority < members[-1].priority:  # it would have made one of them late, or itself
            assert work + each.work > most(min(due, each.deadline))


@settings(deadline=None)
@given(lines, st.integers(0, 8))
def test_a_widened_batch_is_larger_than_it_was(make_queue, line, fixed):
    queue = make_queue(line, float(fixed), batch_rows=5)
    gone = widen(queue, most_of(queue), 0.0, 0)
    line = list(queue)
    assert gone == line[: len(gone)]

    def size(first):
        work = rows = 0.0
        for each in line[first:]:
            rows += each.count
            if rows > 5:
                break
            work += each.work
        return min(work, most_of(queue)(line[first].deadline))

    if gone:
        assert size(len(gone)) > max(size(place) for place in range(len(gone)))
