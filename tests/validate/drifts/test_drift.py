from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from gristmill.validate.chance import beyond_chance, chi_square_quantile, upper_share
from gristmill.validate.drifts.distances import distance, floor
from gristmill.validate.drifts.drift import Drift, measure
from gristmill.validate.statistics.feature import Feature


def _between(before: pl.Series, after: pl.Series) -> Drift:
    drift = measure("x", Feature.of(before), Feature.of(after))
    assert drift is not None
    return drift


def test_distance_is_that_of_the_definition() -> None:
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    by_hand = sum(
        0.5 * side[i] * math.log2(side[i] / ((p[i] + q[i]) / 2))
        for side in (p, q)
        for i in range(3)
        if side[i]
    )
    assert distance(100 * p, 40 * q) == pytest.approx(math.sqrt(by_hand))
    assert distance(p, p) == 0.0
    assert distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0


@pytest.mark.parametrize(("bins", "rows", "others"), [(5, 400, 300), (20, 2000, 1000)])
def test_the_floor_is_above_what_chance_does(bins: int, rows: int, others: int) -> None:
    rng = np.random.default_rng(0)
    shares = np.full(bins, 1 / bins)
    drawn = [
        distance(rng.multinomial(rows, shares) * 1.0, rng.multinomial(others, shares) * 1.0)
        for _ in range(2000)
    ]
    assert max(drawn) < floor(bins, rows, others) < 2 * max(drawn)


@pytest.mark.parametrize("seed", range(5))
def test_clean_samples_stay_under_the_floor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drift = _between(pl.Series(rng.lognormal(size=1500)), pl.Series(rng.lognormal(size=900)))
    assert drift.distance < drift.floor
    assert not drift.alarm


def test_a_change_of_unit_is_an_alarm() -> None:
    rng = np.random.default_rng(0)
    miles = rng.gamma(2.0, 3.0, 4000)
    drift = _between(pl.Series(miles[:2000]), pl.Series(miles[2000:] * 1.609))
    assert drift.alarm
    assert drift.over == "numbers"


def test_a_rise_of_missing_cells_is_an_alarm() -> None:
    numbers = np.random.default_rng(0).normal(size=2000)
    gaps = pl.Series([None if i % 8 == 0 else x for i, x in enumerate(numbers.tolist())])
    drift = _between(pl.Series(numbers), gaps)
    assert drift.alarm
    assert drift.current[drift.bins.index("missing")] == pytest.approx(0.125)


def test_an_all_missing_column_has_moved_as_far_as_can_be() -> None:
    drift = _between(pl.Series([1.0, 2.0] * 50), pl.Series([None] * 100, dtype=pl.Float64))
    assert drift.distance == 1.0


def test_categories_are_compared_by_value_and_new_ones_count() -> None:
    before = pl.Series(["cash"] * 600 + ["card"] * 400)
    drift = _between(before, pl.Series(["cash"] * 300 + ["card"] * 400 + ["coin"] * 300))
    assert drift.over == "values"
    assert drift.current[drift.bins.index("coin")] == pytest.approx(0.3)
    assert drift.alarm


def test_texts_are_compared_by_length() -> None:
    before = pl.Series([f"{'x ' * (i % 50)}{i}" for i in range(2000)])
    drift = _between(before, "y z " * 10 + before)
    assert drift.over == "lengths"
    assert drift.alarm


def test_small_samples_raise_no_alarm_by_themselves() -> None:
    drift = _between(pl.Series([1.0, 2.0, 3.0]), pl.Series([4.0, 5.0]))
    assert not drift.alarm


def test_nothing_is_compared_with_nothing() -> None:
    empty = Feature.of(pl.Series([], dtype=pl.Int64))
    assert measure("x", empty, Feature.of(pl.Series([1]))) is None


def test_chance_bounds() -> None:
    assert beyond_chance(1, 1000, 0.0)
    assert not beyond_chance(0, 1000, 0.0)
    assert not beyond_chance(12, 1000, 0.01)
    assert beyond_chance(40, 1000, 0.01)
    assert upper_share(0, 1000) == 0.003
    assert chi_square_quantile(10, 0.05) == pytest.approx(18.307, rel=0.002)
