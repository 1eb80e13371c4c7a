from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.latency import LatencyModel

SIZES = st.integers(1, 64)
SECONDS = st.floats(1e-5, 10.0)


def fitted(points):
    model = LatencyModel()
    for size, seconds in points:
        model.observe(size, seconds)
    return model


def test_nothing_is_known_at_first():
    assert LatencyModel().coefficients() == (0.0, 0.0)
    assert LatencyModel().seconds(10) == 0.0


@given(st.lists(SIZES, min_size=2, max_size=30), st.floats(1e-4, 1), st.floats(1e-5, 0.1))
def test_finds_the_line_that_batches_lie_on(sizes, fixed, slope):
    model = fitted((size, fixed + slope * size) for size in [1, 64, *sizes])
    assert model.coefficients() == pytest.approx((fixed, slope), rel=1e-4)
    assert model.seconds(32) == pytest.approx(fixed + 32 * slope, rel=1e-4)


@given(st.lists(st.tuples(SIZES, SECONDS), min_size=3, max_size=40))
def test_agrees_with_weighted_least_squares_where_both_coefficients_are_positive(points):
    sizes, seconds = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    if len(set(sizes)) < 2:
        return
    root = np.sqrt(0.98 ** np.arange(len(points))[::-1])
    design = np.stack([np.ones_like(sizes), sizes], axis=1)
    fixed, slope = np.linalg.lstsq(design * root[:, None], seconds * root, rcond=None)[0]
    if fixed > 1e-6 and slope > 1e-6:
        assert fitted(points).coefficients() == pytest.approx((fixed, slope), rel=1e-3, abs=1e-7)


@given(st.lists(st.tuples(SIZES, SECONDS), min_size=1, max_size=40))
def test_an_estimate_is_never_negative_and_never_falls_with_work(points):
    model = fitted(points)
    estimates = [model.seconds(work) for work in range(0, 200, 10)]
    assert estimates[0] == 0.0
    assert all(0 <= low <= high for low, high in pairwise(estimates))


def test_one_size_alone_gives_a_flat_line():
    assert fitted([(8, 0.2)] * 5).seconds(64) == pytest.approx(0.2)


def test_batches_that_get_faster_with_size_give_a_flat_line():
    assert fitted([(1, 0.3), (10, 0.1)]).coefficients()[1] == 0.0


def test_a_line_below_zero_goes_through_the_origin():
    fixed, slope = fitted([(1, 0.0001), (10, 1.0)]).coefficients()
    assert fixed == 0.0
    assert slope == pytest.approx((0.0001 * 0.98 + 10.0) / (0.98 + 100))


def test_forgets_how_the_model_was_long_ago():
    model = fitted([(1, 5.0), (64, 50.0)] + [(1, 0.01), (64, 0.1)] * 400)
    assert model.seconds(64) == pytest.approx(0.1, rel=1e-3)
