import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.scheduling.request import Reason, Refused, Request


def due(*deadlines, **more):
    return [Request(1, 1.0, deadline, **more) for deadline in deadlines]


def offered(scheduler, requests, now=0.0):
    return [scheduler.offer(request, now) for request in requests]


def ids(requests):
    return sorted(map(id, requests))


def test_an_idle_replica_starts_at_once_with_what_is_there(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0)
    assert scheduler.next_batch(0, 0.0) is None
    requests = due(10, 11)
    assert offered(scheduler, requests) == [None, None]
    batch = scheduler.next_batch(0, 0.0)
    assert (batch.requests, batch.count, batch.work) == (requests, 2, 2.0)
    assert (batch.replica, batch.began, batch.ends) == (0, 0.0, 3.0)


def test_the_earliest_deadline_goes_first(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0, batch_rows=1)
    requests = due(30, 10, 20)
    offered(scheduler, requests)
    order = [scheduler.next_batch(0, 0.0).requests[0].deadline for _ in requests]
    assert order == [10, 20, 30]


def test_one_that_cannot_be_in_time_behind_the_others_is_refused_at_once(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=1)
    offered(scheduler, due(1, 2))
    assert scheduler.offer(due(2.5)[0], 0.0) == Refused(Reason.LATE, 0.5)
    assert scheduler.shed(0.0) == []


def test_one_that_nothing_could_help_is_told_so(make_scheduler):
    scheduler = make_scheduler(5.0, 1.0)
    offered(scheduler, due(30))
    assert scheduler.offer(due(3)[0], 0.0) == Refused(Reason.HOPELESS, 0.0)


def test_but_one_a_second_is_let_through_when_all_is_quiet(make_scheduler):
    scheduler = make_scheduler(5.0, 1.0)
    first, second, third = due(3, 3, 4)
    assert scheduler.offer(first, 0.0) is None
    assert scheduler.offer(second, 0.1).reason is Reason.HOPELESS
    batch = scheduler.next_batch(0, 0.0)
    assert batch.requests == [first]
    scheduler.finished(batch, 6.0, 0.2)
    assert scheduler.offer(third, 0.9).reason is Reason.HOPELESS
    assert scheduler.offer(third, 1.0) is None


def test_what_only_the_margin_makes_late_is_tried_where_nothing_else_is_there(make_scheduler):
    scheduler = make_scheduler(0.0, 4.0)
    scheduler.fleet.noise = 1.0  # 2 above the 4
    tight, calm = due(5)[0], due(30)[0]
    assert scheduler.offer(tight, 0.0) is None
    assert scheduler.next_batch(0, 0.0).requests == [tight]
    assert scheduler.offer(due(7.9)[0], 0.0).reason is Reason.LATE  # it would start at 4
    assert scheduler.offer(calm, 0.0) is None
    assert scheduler.offer(due(3.9)[0], 0.0).reason is Reason.HOPELESS
    assert scheduler.next_batch(0, 4.0).requests == [calm]


def test_and_nobody_who_was_refused_before_keeps_it_out(make_scheduler):
    scheduler = make_scheduler(0.0, 4.0)
    scheduler.fleet.noise = 1.0
    scheduler.offer(due(30)[0], 0.0)
    batch = scheduler.next_batch(0, 0.0)
    assert scheduler.offer(due(5)[0], 0.0).reason is Reason.LATE
    scheduler.fleet.end(batch, 4.0, 4.0)
    scheduler.fleet.per_work, scheduler.fleet.noise = 4.0, 1.0
    assert scheduler.offer(due(9)[0], 4.0) is None


def test_a_full_queue_refuses(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0, queue_rows=2)
    offered(scheduler, due(90, 90))
    assert scheduler.offer(due(90)[0], 0.0) == Refused(Reason.FULL, 3.0)


def test_a_full_queue_lets_a_better_priority_in(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0, queue_rows=2)
    worse = due(90, 91, priority=1)
    offered(scheduler, worse)
    assert scheduler.offer(due(90)[0], 0.0) is None
    assert len(scheduler.shed(0.0)) == 1


def test_a_better_priority_displaces_as_few_as_will_do(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=1)
    low, lower = due(1, priority=1), due(2, 3, priority=2)
    offered(scheduler, [*low, *lower])
    assert scheduler.offer(due(3.5)[0], 0.0) is None
    (gone,) = scheduler.shed(0.0)
    assert gone in lower
    assert scheduler.offer(due(3.6, priority=2)[0], 0.0).reason is Reason.LATE


def test_an_equal_priority_displaces_nobody(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=1)
    offered(scheduler, due(1, 2, 3, priority=1))
    assert scheduler.offer(due(3.5, priority=1)[0], 0.0).reason is Reason.LATE
    assert scheduler.shed(0.0) == []


def test_a_large_request_is_split_and_others_share_its_last_batch(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0, batch_rows=4)
    large = Request(10, 10.0, 100.0)
    small = due(101)[0]
    offered(scheduler, [large, small])
    batches = [scheduler.next_batch(0, 0.0) for _ in range(3)]
    assert [batch.count for batch in batches] == [4, 4, 3]
    assert tuple(part for batch in batches for part in batch.requests) == (*large.parts, small)


def test_a_large_request_is_taken_whole_or_not_at_all(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=4)
    offered(scheduler, due(4, 4))
    assert scheduler.offer(Request(10, 10.0, 11.0), 0.0).reason is Reason.LATE
    assert scheduler.queue.count == 2
    assert scheduler.offer(Request(10, 10.0, 9.0), 0.0).reason is Reason.HOPELESS


def test_a_batch_that_takes_too_long_costs_those_their_answer_that_it_made_late(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=1)
    requests = due(1, 3, 4, 9)
    offered(scheduler, requests)
    scheduler.next_batch(0, 0.0)
    assert scheduler.shed(2.5) == [requests[1]]
    assert scheduler.next_batch(0, 2.6).requests == [requests[2]]


def test_those_of_the_worst_priority_go_for_a_batch_that_took_too_long(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=1)
    requests = [*due(1), *due(3, priority=1), *due(4), *due(5, priority=1)]
    offered(scheduler, requests)
    scheduler.next_batch(0, 0.0)
    assert scheduler.shed(2.0) == []
    (gone,) = scheduler.shed(2.5)
    assert gone is requests[1] or gone.priority == 1


def test_all_parts_of_a_dropped_request_go(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=2)
    large = Request(4, 4.0, 5.0)
    offered(scheduler, [*due(1), large])
    scheduler.next_batch(0, 0.0)
    assert scheduler.shed(4.5) == [large]
    assert scheduler.queue.count == 0


def test_under_overload_a_batch_sheds_those_who_keep_it_small(make_scheduler):
    # A fixed part of 10 and 1 a row: the first deadline allows a batch of 3.
    scheduler = make_scheduler(10.0, 1.0)
    offered(scheduler, due(20))
    scheduler.next_batch(0, 0.0)  # until 11
    tight, others = due(24)[0], due(*[40] * 20)
    answers = offered(scheduler, [tight, *others])
    assert [answer is None for answer in answers] == [True] * 9 + [False] * 12
    assert scheduler.offer(due(40)[0], 10.5).reason is Reason.LATE
    assert scheduler.next_batch(0, 11.0).requests == others[:8]
    assert scheduler.shed(11.0) == [tight]


def test_without_overload_nobody_is_shed_for_others(make_scheduler):
    scheduler = make_scheduler(10.0, 1.0)
    requests = [*due(12), *due(*[60] * 9)]
    offered(scheduler, requests)
    assert scheduler.next_batch(0, 0.0).requests[0] is requests[0]
    assert scheduler.shed(0.0) == []


def test_under_overload_those_who_matter_more_run_first(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=2)
    low, high = due(4, 5, 6, priority=1), due(7)
    offered(scheduler, [*low, *high])
    assert scheduler.offer(Request(1, 6.0, 7.0, 1), 0.0).reason is Reason.LATE
    assert scheduler.next_batch(0, 0.0).requests == [*high, low[0]]
    assert scheduler.shed(0.0) == []
    assert scheduler.next_batch(0, 2.0).requests == low[1:]


def test_who_was_passed_over_and_cannot_be_in_time_is_told_at_once(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, batch_rows=1)
    low, high = due(1, 2, priority=1), due(3)
    offered(scheduler, [*low, *high])
    assert scheduler.offer(due(3, priority=1)[0], 0.0).reason is Reason.LATE
    assert scheduler.next_batch(0, 0.0).requests == high
    assert scheduler.shed(0.0) == [low[0]]
    assert scheduler.next_batch(0, 1.0).requests == [low[1]]


def test_and_others_leave_them_half_of_their_time(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0)
    offered(scheduler, due(*[9] * 9, priority=1))
    assert scheduler.offer(due(9, priority=1)[0], 0.0).reason is Reason.LATE
    assert scheduler.offer(due(6.5)[0], 0.0) is None
    batch = scheduler.next_batch(0, 0.0)
    assert [each.priority for each in batch.requests] == [0, 1, 1]
    scheduler.finished(batch, 3.0, 3.0)
    assert scheduler.next_batch(0, 3.0).count == 6  # nobody like that has come for a second


def test_idle_replicas_share_what_waits(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0, replicas=2)
    offered(scheduler, due(*[100] * 10))
    sizes = [scheduler.next_batch(0, 0.0, 2).count, scheduler.next_batch(1, 0.0, 1).count]
    assert sizes == [5, 5]


def test_but_not_into_batches_that_are_mostly_fixed_cost(make_scheduler):
    scheduler = make_scheduler(8.0, 1.0, replicas=2)
    offered(scheduler, due(*[100] * 10))
    assert scheduler.next_batch(0, 0.0, 2).count == 8


def test_a_slow_replica_gets_a_smaller_batch(make_scheduler):
    scheduler = make_scheduler(0.0, 1.0, replicas=2)
    scheduler.fleet.models[1].per_work = 4.0
    offered(scheduler, due(*[10] * 8))
    assert scheduler.next_batch(1, 0.0).count == 2


def test_a_withdrawn_request_never_runs(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0, batch_rows=4)
    large, small = Request(10, 10.0, 100.0), due(100)[0]
    offered(scheduler, [large, small])
    scheduler.next_batch(0, 0.0)
    scheduler.withdraw(large)
    assert list(scheduler.queue) == [small]
    scheduler.withdraw(small)
    assert scheduler.next_batch(0, 0.0) is None
    assert scheduler.queue.work == 0.0


def test_expiry_is_when_the_first_batch_becomes_late(make_scheduler):
    scheduler = make_scheduler(1.0, 1.0)
    assert scheduler.expiry() == float("inf")
    requests = due(10, 12)
    offered(scheduler, requests)
    assert scheduler.expiry() == pytest.approx(7.0)
    assert scheduler.shed(scheduler.expiry()) == []  # each of them can still run, one by one
    assert scheduler.shed(9.0) == [requests[0]]
    assert scheduler.wait(0.0) == 2.0


def test_it_learns_from_what_ran(make_scheduler):
    scheduler = make_scheduler()
    for work in (1.0, 10.0) * 5:
        scheduler.observe(0, work, 1.0 + work)
    assert scheduler.fleet.upper(5.0) == pytest.approx(6.0, rel=0.01)
    assert scheduler.queue.batch_work == pytest.approx(63.0, rel=0.01)


moves = st.lists(
    st.tuples(
        st.floats(0, 3),  # time that goes by
        st.sampled_from(["offer", "offer", "offer", "batch", "done", "withdraw", "shed"]),
        st.integers(1, 9),  # rows, of a work of one each
        st.floats(0.5, 30),  # time allowed
        st.integers(0, 2),  # priority
        st.floats(0.5, 2.5),  # how much slower than thought a batch is
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=300)
@given(moves, st.floats(0, 3), st.integers(1, 2))
def test_each_request_has_one_fate_and_none_is_predicted_late(make_scheduler, moves, fixed, count):
    scheduler = make_scheduler(fixed, 1.0, count, batch_rows=4, queue_rows=30)
    now, running, free = 0.0, [], list(range(count))
    probes, fates = set(), {}

    def settle(request, fate):
        assert fates.setdefault(id(request), fate) == fate

    def drop(requests):
        for request in requests:
            settle(request, "dropped")

    kept = []
    for passed, move, rows, allowed, priority, slower in moves:
        now += passed
        if move == "offer":
            request = Request(rows, float(rows), now + allowed, priority)
            kept.append(request)
            if scheduler.offer(request, now) is not None:
                settle(request, "refused")
            elif scheduler.queue.batches[-1].due == float("inf"):
                probes.add(id(request))
        elif move == "batch" and free:
            batch = scheduler.next_batch(free[0], now, len(free))
            drop(scheduler.shed(now))
            if batch:
                free.pop(0)
                running.append((batch, slower))
                assert 0 < batch.count <= 4
                for each in batch.requests:
                    whole = each.whole or each
                    assert fates.get(id(whole)) != "refused"
                    in_time = now + fixed + batch.work <= each.deadline + 1e-9
                    assert in_time or id(whole) in probes
        elif move == "done" and running:
            batch, slower = running.pop(0)
            scheduler.fleet.end(batch, batch.ends - batch.began, now)
            scheduler.fleet.fixed, scheduler.fleet.per_work, scheduler.fleet.noise = fixed, 1.0, 0.0
            for model in scheduler.fleet.models:
                model.fixed, model.per_work, model.noise = fixed, 1.0, 0.0
            free.append(batch.replica)
            for each in batch.requests:
                if each.whole is None:
                    settle(each, "ran")
        elif move == "withdraw" and kept:
            request = kept[rows % len(kept)]
            if id(request) not in fates and request in set(scheduler.queue):
                scheduler.withdraw(request)
                settle(request, "withdrawn")
        else:
            drop(scheduler.shed(now))
            assert not scheduler.queue.late(now)
        waiting = [each.whole or each for each in scheduler.queue]
        assert not [each for each in waiting if id(each) in fates and not each.parts]
        assert scheduler.queue.count == sum(each.count for each in scheduler.queue) <= 30
        assert len(ids(scheduler.queue)) == len(set(ids(scheduler.queue)))


singles = st.lists(
    st.tuples(st.floats(0, 2), st.floats(1, 12), st.integers(0, 1)), min_size=1, max_size=6
)


@settings(deadline=None, max_examples=150)
@given(singles, st.integers(0, 3))
def test_none_is_refused_that_could_be_in_time_with_all_others(
    make_scheduler, in_time_somehow, asked, fixed
):
    """The slow reference tries every order of what waits and the newcomer."""
    scheduler = make_scheduler(float(fixed), 1.0, batch_rows=3)
    for _, allowed, priority in asked:
        request = Request(1, 1.0, allowed, priority)
        waiting = list(scheduler.queue)
        possible = in_time_somehow([*waiting, request], float(fixed), 1.0, 3)
        refused = scheduler._refused
        answer = scheduler.offer(request, 0.0)
        dropped = scheduler.shed(0.0)
        probe = not waiting and not possible and answer is None
        if possible:
            # Once a batch somebody was refused for lateness, only the end of the line is tried.
            assert (answer is None and not dropped) or refused is not None
        elif not probe:
            assert answer is not None or dropped
        assert all(each.priority > request.priority for each in dropped)
        if probe:
            return
