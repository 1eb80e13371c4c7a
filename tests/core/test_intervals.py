from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.intervals import Interval, bootstrap, wilson


def test_wilson_against_published_figures():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20, score method without continuity correction.
    assert wilson(81, 263).low == pytest.approx(0.2553, abs=5e-5)
    assert wilson(81, 263).high == pytest.approx(0.3662, abs=5e-5)
    assert wilson(0, 20).low == 0
    assert wilson(0, 20).high == pytest.approx(0.1611, abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_wilson_bounds_solve_the_score_equation(trials, data):
    successes = data.draw(st.integers(0, trials))
    found = wilson(successes, trials)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12
    assert found.high <= 1
    for bound in (found.low, found.high):
        error = abs(found.value - bound)
        assert error == pytest.approx(
            1.959963985 * math.sqrt(bound * (1 - bound) / trials), abs=1e-6
        )


def test_wilson_without_trials():
    nothing = wilson(0, 0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0, 1)


def test_a_higher_level_is_wider():
    assert wilson(5, 10, 0.99).low < wilson(5, 10, 0.9).low


def test_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = bootstrap(lambda rows: float(values[rows].mean()), 400, draws=4000)
    half = 1.96 * values.std() / 20
    assert found.value == values.mean()
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_bootstrap_is_set_by_its_seed_alone():
    values = np.arange(50.0)

    def mean(rows):
        return float(values[rows].mean())

    np.random.seed(1)  # global state, which must not matter
    one = bootstrap(mean, 50, draws=50, seed=3)
    np.random.seed(2)
    assert bootstrap(mean, 50, draws=50, seed=3) == one
    assert bootstrap(mean, 50, draws=50, seed=4) != one


def test_bootstrap_leaves_out_draws_without_a_figure():
    found = bootstrap(lambda rows: 1.0 if 0 in rows else math.nan, 3, draws=100)
    assert (found.low, found.high) == (1, 1)


def test_printed():
    assert str(Interval(0.93214, 0.9, 0.9512)) == "0.932 [0.900, 0.951]"
