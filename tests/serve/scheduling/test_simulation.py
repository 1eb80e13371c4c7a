import numpy as np
import pytest

from gristmill.serve.scheduling.request import Batch, Refused, Request
from gristmill.serve.scheduling.simulation import Overheads, simulate


def run(scheduler, arrivals, allowed, latency, rows=1, replicas=1):
    requests = [Request(rows, float(rows), at + allowed) for at in arrivals]
    return simulate(scheduler, requests, arrivals, latency, replicas)


def test_a_short_run_by_hand(make_scheduler):
    #  0      2      4      6      8
    #  | a: 3     | b, c: 4       |      d comes at 1 and can't be done by 4
    requests = [Request(1, 1.0, due) for due in (10.0, 10.0, 4.0, 10.0)]
    outcome = simulate(
        make_scheduler(2.0, 1.0), requests, [0.0, 1.0, 1.0, 2.0], lambda batch: 2.0 + batch.work
    )
    assert outcome.ends.tolist() == [3.0, 7.0, 1.0, 7.0]
    assert outcome.answered.tolist() == [True, True, False, True]
    assert outcome.batches == [1, 2]
    assert outcome.in_time.tolist() == [True, True, False, True]
    assert outcome.goodput() == 1.5
    assert outcome.late_share() == 0.0
    assert outcome.latency(0.5) == 5.0


def test_parts_of_a_large_request_end_with_the_last(make_scheduler):
    outcome = run(
        make_scheduler(1.0, 1.0, batch_rows=4), [0.0], 99.0, lambda batch: 1.0 + batch.work, 10
    )
    assert outcome.ends.tolist() == [13.0]
    assert outcome.batches == [4, 4, 2]


def test_replicas_work_side_by_side(make_scheduler):
    outcome = run(
        make_scheduler(1.0, 1.0, replicas=2, batch_rows=1),
        [0.0, 0.0, 0.0],
        99.0,
        lambda batch: 1.0 + batch.work,
        replicas=2,
    )
    assert outcome.ends.tolist() == [2.0, 2.0, 4.0]


@pytest.mark.parametrize("load", [1.3, 4.0])
def test_goodput_under_overload_stays_near_capacity(make_scheduler, load):
    draw = np.random.default_rng(3)
    fixed, per_work, rows = 0.0035, 0.003, 13
    capacity = rows / (fixed + per_work * rows)
    arrivals = np.cumsum(draw.exponential(1 / (capacity * load), 3000))
    outcome = run(
        make_scheduler(fixed, per_work, batch_rows=rows),
        arrivals,
        0.1,
        lambda batch: (fixed + per_work * batch.work) * draw.lognormal(0, 0.02),
    )
    assert outcome.goodput() >= 0.95 * capacity
    assert outcome.late_share() < 0.005


def test_the_same_seed_gives_the_same_run(make_scheduler):
    def once():
        draw = np.random.default_rng(5)
        arrivals = np.cumsum(draw.exponential(0.01, 300))
        return run(
            make_scheduler(0.01, 0.01, batch_rows=8), arrivals, 0.1, lambda _: draw.gamma(2, 0.03)
        )

    first, second = once(), once()
    assert first.ends.tolist() == second.ends.tolist()


def test_no_request_is_left_without_an_end_if_batches_take_for_ever(make_scheduler):
    outcome = run(make_scheduler(1.0, 1.0), [0.0, 0.5, 0.6], 5.0, lambda _: 1000.0)
    assert outcome.answered.tolist() == [True, False, False]
    assert (outcome.ends[1:] <= 5.6).all()
    assert outcome.late_share() == 1.0


def test_overheads_by_hand(make_scheduler):
    #  0.5 a is heard   1.5 b is heard, a turn: a, b   6.5 ended   7.5 a turn: c   11.5 ended
    #                   2.5 c is heard
    requests = [Request(1, 1.0, 99.0) for _ in range(3)]
    outcome = simulate(
        make_scheduler(3.0, 1.0),
        requests,
        [0.0, 1.0, 2.0],
        lambda batch: 3.0 + batch.work,
        overheads=Overheads(lambda: 0.5, lambda: 1.0, lambda: 0.25),
    )
    assert outcome.batches == [2, 1]
    assert outcome.ends.tolist() == [6.75, 6.75, 11.75]


def test_who_is_heard_late_comes_late(make_scheduler):
    delays = iter([5.0, 0.0, 0.0])
    outcome = simulate(
        make_scheduler(1.0, 1.0),
        [Request(1, 1.0, 99.0) for _ in range(3)],
        [0.0, 1.0, 4.0],
        lambda batch: 1.0 + batch.work,
        overheads=Overheads(hearing=lambda: next(delays)),
    )
    assert outcome.ends.tolist() == [8.0, 3.0, 6.0]
    assert outcome.latency(1.0) == 8.0


def test_overheads_of_nothing_change_nothing(make_scheduler):
    def once(**options):
        draw = np.random.default_rng(5)
        arrivals = np.cumsum(draw.exponential(0.01, 300)).tolist()
        requests = [Request(1, 1.0, at + 0.1) for at in arrivals]
        scheduler = make_scheduler(0.01, 0.01, batch_rows=8)
        return simulate(scheduler, requests, arrivals, lambda _: draw.gamma(2, 0.03), **options)

    assert once().ends.tolist() == once(overheads=Overheads()).ends.tolist()


class Refuser:
    def offer(self, request, now):
        return Refused("no", 0.0)

    def next_batch(self, replica, now, idle=1) -> Batch | None:
        return None

    def shed(self, now):
        return []

    def expiry(self):
        return float("inf")


def test_a_policy_may_refuse_everybody():
    outcome = run(Refuser(), [0.0, 1.0], 5.0, lambda _: 1.0)
    assert outcome.goodput() == 0.0
    assert np.isnan(outcome.latency(0.5))
    assert outcome.late_share() == 1.0


def shares_in_time(make_scheduler, load, better, *, allowed, model, among=(0, 1)):
    """Return what share of each priority is answered in time, and the goodput of all / capacity.

    Args:
        load: of all requests, over the capacity.
        better: share of requests of priority 0; the others have 1.
        allowed: seconds that each request is given.
        model: seconds of a batch, seconds of a row, most rows.
        among: the priorities that come at all.
    """
    fixed, per_work, rows = model
    draw = np.random.default_rng(3)
    capacity = rows / (fixed + per_work * rows)
    arrivals = np.cumsum(draw.exponential(1 / (capacity * load), 6000))
    numbers = np.where(draw.random(len(arrivals)) < better, 0, 1)
    come = np.isin(numbers, among)
    arrivals, numbers = arrivals[come], numbers[come]
    requests = [
        Request(1, 1.0, at + allowed, number)
        for at, number in zip(arrivals.tolist(), numbers.tolist(), strict=True)
    ]
    outcome = simulate(
        make_scheduler(fixed, per_work, batch_rows=rows),
        requests,
        arrivals,
        lambda batch: (fixed + per_work * batch.work) * draw.lognormal(0, 0.02),
    )
    shares = {number: outcome.in_time[numbers == number].mean() for number in among}
    return shares, outcome.goodput() / capacity


@pytest.mark.parametrize(
    ("load", "better"), [(1.3, 0.5), (2.0, 0.35), (1.3, 0.1)], ids=["1.3", "2", "few"]
)
def test_those_who_matter_more_are_answered_as_if_they_were_alone(make_scheduler, load, better):
    model = (0.0035, 0.003, 13)
    shares, goodput = shares_in_time(make_scheduler, load, better, allowed=0.1, model=model)
    assert shares[0] >= 0.995
    assert shares[1] <= (1 - load * better) / (load * (1 - better)) + 0.02
    assert goodput >= 0.93


def test_and_nearly_so_where_a_full_batch_takes_most_of_the_time_they_have(make_scheduler):
    # 3.7 of 6 ms: who comes while one of the others' runs waits for it.
    shares, goodput = shares_in_time(
        make_scheduler, 1.3, 0.5, allowed=0.006, model=(0.0005, 0.0002, 16)
    )
    assert shares[0] >= 0.975
    assert goodput >= 0.85


def test_alone_each_of_two_priorities_is_served_alike(make_scheduler):
    for number in (0, 1):
        shares, _ = shares_in_time(
            make_scheduler, 1.3, 0.5, allowed=0.1, model=(0.0035, 0.003, 13), among=(number,)
        )
        assert shares[number] >= 0.995


def test_a_model_that_stalls_now_and_then_answers_who_has_little_time(make_scheduler):
    # 4.6 ms of 9, and one run in a hundred takes twice as long or more.
    draw = np.random.default_rng(3)
    fixed, per_work = 0.0015, 0.0031
    arrivals = np.cumsum(draw.exponential(2 * (fixed + per_work), 4000))

    def latency(batch):
        stall = draw.uniform(1.5, 4) if draw.random() < 0.01 else 1.0
        return (fixed + per_work * batch.work) * stall * draw.lognormal(0, 0.1)

    outcome = run(make_scheduler(fixed, per_work, batch_rows=4), arrivals, 0.009, latency)
    assert outcome.in_time.mean() >= 0.7
    assert outcome.late_share() <= 0.05
