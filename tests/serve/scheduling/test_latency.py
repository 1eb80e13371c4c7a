import random

import pytest

from gristmill.serve.scheduling.latency import LatencyModel


def observed(pairs):
    model = LatencyModel()
    for work, seconds in pairs:
        model.observe(work, seconds)
    return model


def test_it_knows_nothing_at_first():
    model = LatencyModel()
    assert (model.seconds(10), model.upper(10), model.seen) == (0.0, 0.0, 0)
    assert model.most(1.0) == float("inf")
    assert model.most(0.0) < 0


def test_a_line_is_found_exactly():
    model = observed((work, 0.002 + 0.0001 * work) for work in (1, 7, 30, 64) * 5)
    assert model.fixed == pytest.approx(0.002, rel=1e-6)
    assert model.per_work == pytest.approx(0.0001, rel=1e-6)
    assert model.upper(20) == pytest.approx(0.004, rel=1e-3)


def test_batches_of_one_size_give_a_flat_line():
    model = observed([(8, 0.5)] * 10)
    assert (model.fixed, model.per_work) == (0.5, 0.0)
    assert model.paid() == float("inf")


def test_an_hour_of_single_requests_does_not_make_it_forget_full_batches():
    model = observed([(64, 0.066), (1, 0.003)] * 3 + [(1, 0.003)] * 5000)
    assert model.seconds(64) == pytest.approx(0.066, rel=0.02)
    assert model.seconds(1) == pytest.approx(0.003, rel=0.02)


def test_it_follows_a_model_that_becomes_slower():
    model = observed([(1, 0.001), (64, 0.064)] * 20 + [(1, 0.003), (64, 0.192)] * 200)
    assert model.seconds(64) == pytest.approx(0.192, rel=0.05)


def test_coefficients_are_never_below_zero():
    falling = observed([(1, 1.0), (64, 0.1)] * 5)
    assert (falling.per_work, falling.fixed >= 0) == (0.0, True)
    steep = observed([(32, 1.0), (64, 8.0)] * 5)
    assert (steep.fixed, steep.per_work > 0) == (0.0, True)


def test_upper_covers_all_but_a_few_batches():
    draw = random.Random(1)
    model, over = LatencyModel(), 0
    for step in range(6000):
        work = draw.randint(1, 64)
        seconds = (0.002 + 0.001 * work) * draw.lognormvariate(0, 0.1)
        if step > 1000:
            over += seconds > model.upper(work)
        model.observe(work, seconds)
    assert over / 5000 < 0.015


def test_one_stall_widens_the_margin_and_leaves_the_line_alone():
    model = observed([(1, 0.001), (64, 0.064)] * 50)
    before = model.seconds(64)
    model.observe(64, 30.0)
    for _ in range(8):
        model.observe(64, 0.064)
    assert model.seconds(64) == pytest.approx(before, rel=0.25)
    assert model.upper(64) >= before
    for _ in range(520):
        model.observe(64, 0.064)
    assert model.upper(64) == pytest.approx(before, rel=0.05)


def test_rare_stalls_of_a_fast_model_do_not_make_it_hopeless():
    model = observed([(work, 2e-5 + 1e-6 * work) for work in (1, 64)] * 20)
    for _ in range(20):
        for seconds in [2.1e-5] * 20 + [0.5]:
            model.observe(1, seconds)
    assert model.upper(1) < 1e-4
    assert model.upper(64) < 1e-3


@pytest.mark.parametrize("seconds", [0.01, 0.1, 3.0])
def test_most_is_the_inverse_of_upper(seconds):
    draw = random.Random(2)
    model = observed(
        (work, (0.002 + 0.001 * work) * draw.uniform(0.9, 1.2)) for work in [1, 8, 64] * 30
    )
    assert model.upper(model.most(seconds)) == pytest.approx(seconds, rel=1e-6)


def test_no_work_fits_into_less_than_the_fixed_part():
    model = observed((work, 0.002 + 0.0001 * work) for work in (1, 64) * 5)
    assert model.most(0.001) < 0
    assert model.paid() == pytest.approx(20, rel=1e-3)


def test_instant_batches_are_fine():
    model = observed([(0, 0.0), (1, 0.0), (5, 0.0)] * 20)
    assert model.seconds(5) < 1e-5
