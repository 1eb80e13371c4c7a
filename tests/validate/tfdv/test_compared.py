from __future__ import annotations

import polars as pl
import pytest

from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.tfdv.compared import tfdv_measures


def state(values):
    return Feature.of(pl.Series("x", values))


def test_the_measures_that_are_limited():
    before, after = state(["a"] * 5 + ["b"] * 5), state(["a"] * 10)
    limits = Comparator(infinity_norm=0.1, normalized_abs_difference=0.1)
    assert tfdv_measures(before, after, limits) == {
        "infinity_norm": 0.5,
        "normalized_abs_difference": 0.25,
    }


@pytest.mark.parametrize("source", ["standard", "quantiles"])
def test_numbers_by_the_histogram_that_is_asked_for(source):
    same = state([float(i) for i in range(100)])
    limits = Comparator(jensen_shannon=0.1, source=source)
    assert tfdv_measures(same, same, limits) == {"jensen_shannon": 0.0}


def test_one_outlier_moves_buckets_of_equal_width_more_than_those_of_equal_mass():
    before, after = state([float(i) for i in range(100)]), state([*map(float, range(99)), 9e3])
    standard, quantiles = (
        tfdv_measures(before, after, Comparator(jensen_shannon=0.1, source=source))
        for source in ("standard", "quantiles")
    )
    assert standard["jensen_shannon"] > 0.5 > quantiles["jensen_shannon"]


def test_values_of_numbers_are_not_compared():
    assert tfdv_measures(state([1, 2]), state([3, 4]), Comparator(infinity_norm=0.1)) == {
        "infinity_norm": 0.0
    }
