from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.validate import chance
from gristmill.validate.drifts.distances import (
    cliffs_delta,
    delta_floor,
    distance,
    floor,
    kolmogorov_smirnov,
    sketch_error,
    stability_index,
    wasserstein,
)

COUNTS = st.lists(st.integers(0, 8), min_size=2, max_size=6).filter(any)


@given(COUNTS, COUNTS)
def test_delta_is_that_of_all_pairs(old: list[int], new: list[int]) -> None:
    size = min(len(old), len(new))
    before, after = np.array(old[:size], float), np.array(new[:size], float)
    if not before.sum() or not after.sum():
        assert cliffs_delta(before, after) == 0.0
        return
    slow = sum(a * b * np.sign(j - i) for i, a in enumerate(before) for j, b in enumerate(after))
    assert cliffs_delta(before, after) == pytest.approx(slow / before.sum() / after.sum())


@given(COUNTS, COUNTS, COUNTS)
def test_the_distance_keeps_the_triangle(a: list[int], b: list[int], c: list[int]) -> None:
    size = min(map(len, (a, b, c)))
    one, two, three = (np.array(side[:size], float) + 0.01 for side in (a, b, c))
    assert distance(one, three) <= distance(one, two) + distance(two, three) + 1e-9


@pytest.mark.parametrize(("bins", "rows", "others"), [(5, 25, 25), (50, 250, 5000), (20, 200, 200)])
def test_the_floor_holds_with_five_rows_a_bin(bins: int, rows: int, others: int) -> None:
    rng = np.random.default_rng(0)
    shares, level = np.full(bins, 1 / bins), 1e-2
    limit = floor(bins, rows, others, level=level, sparsity=bins / min(rows, others))
    over = sum(
        distance(rng.multinomial(rows, shares) * 1.0, rng.multinomial(others, shares) * 1.0) > limit
        for _ in range(3000)
    )
    assert over <= 3 * level * 3000


def test_the_floor_of_a_rise_holds_with_ties() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([0.6, 0.1, 0.1, 0.2])
    over = 0
    for _ in range(2000):
        before, after = (rng.multinomial(size, shares) * 1.0 for size in (300, 80))
        over += abs(cliffs_delta(before, after)) > delta_floor(before, after, 0.0, 0.01)
    assert 4 <= over <= 45


def test_other_figures_by_hand() -> None:
    before, after = np.array([5.0, 5.0, 0.0]), np.array([0.0, 5.0, 5.0])
    assert kolmogorov_smirnov(before, after) == pytest.approx(0.5)
    assert wasserstein(before, after, np.array([1.0, 3.0])) == pytest.approx(1.0)
    wanted = 2 * (0.5 - 1e-4) * math.log(0.5 / 1e-4)
    assert stability_index(before, after) == pytest.approx(wanted)
    assert sketch_error(np.full(20, 0.05), 0.0) == 0.0


def test_what_sketches_are_off_by_adds_to_the_floor() -> None:
    assert floor(1, 10, 10, 0.02) == 0.02
    assert floor(8, 1000, 1000, 0.02) == pytest.approx(floor(8, 1000, 1000) + 0.02)


def _slow_tail(count: int, total: int, other: int, other_total: int) -> float:
    hits, everything = count + other, total + other_total
    ways = [
        math.comb(hits, k) * math.comb(everything - hits, total - k)
        for k in range(count, min(hits, total) + 1)
        if total - k <= everything - hits
    ]
    return sum(ways) / math.comb(everything, total)


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_tail_bounds_fishers_test(total: int, other_total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    other = data.draw(st.integers(0, other_total))
    exact = _slow_tail(count, total, other, other_total)
    assert math.exp(chance.log_tail(count, total, other, other_total)) >= exact * (1 - 1e-9)


def test_the_tail_is_tight_where_it_matters() -> None:
    exact = _slow_tail(40, 100, 10, 100)
    assert math.exp(chance.log_tail(40, 100, 10, 100)) == pytest.approx(exact, rel=0.05)
    assert chance.shares_differ(40, 100, 10, 100, 1e-4)
    assert chance.shares_differ(10, 100, 40, 100, 1e-4)
    assert not chance.shares_differ(12, 100, 10, 100)
    assert not chance.shares_differ(0, 0, 10, 100)
    assert chance.level_for(10) == chance.ALARM_LEVEL
    assert chance.level_for(2000) == chance.REPORT_LEVEL / 2000
