from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import statistics_pb2

from gristmill.validate.tfdv.measures import (
    infinity_norm,
    jensen_shannon_histograms,
    jensen_shannon_values,
    normalized_abs_difference,
)

Histogram = statistics_pb2.Histogram


def histogram(*rows, nan=0, kind=Histogram.STANDARD):
    made = Histogram(type=kind, num_nan=nan)
    for low, high, count in rows:
        made.buckets.add(low_value=low, high_value=high, sample_count=count)
    return made


def plain_divergence(p, q):
    """Of two rows of counts, term by term."""
    total = 0.0
    for a, b in zip(p, q, strict=True):
        a, b = a / sum(p), b / sum(q)
        for x in (a, b):
            if x:
                total += x * math.log2(x / ((a + b) / 2))
    return min(1.0, total / 2)


def by_slow_rules(one, two):
    """The divergence of two histograms by the rules, one piece of mass at a time."""
    sides = []
    edges = sorted({e for h in (one, two) for b in h.buckets if math.isfinite(b.high_value)
                    and math.isfinite(b.low_value) and b.low_value < b.high_value
                    for e in (b.low_value, b.high_value)})  # fmt: skip
    for side, h in enumerate((one, two)):
        mass = {}
        for b in h.buckets:
            if not (math.isfinite(b.low_value) and math.isfinite(b.high_value)):
                key = ("inf", side)
                mass[key] = mass.get(key, 0) + b.sample_count
            elif b.low_value == b.high_value:
                mass["at", b.low_value] = mass.get(("at", b.low_value), 0) + b.sample_count
            else:
                for low, high in itertools.pairwise(edges):
                    if low >= b.low_value and high <= b.high_value:
                        share = (high - low) / (b.high_value - b.low_value)
                        mass["in", low] = mass.get(("in", low), 0) + share * b.sample_count
        mass["nan", side] = h.num_nan
        sides.append(mass)
    keys = [*sides[0], *(key for key in sides[1] if key not in sides[0])]
    return plain_divergence(*([side.get(key, 0.0) for key in keys] for side in sides))


def test_infinity_norm_is_the_largest_change_of_a_share():
    value, moved = infinity_norm({"a": 6, "b": 2, "c": 2}, {"a": 20, "b": 16, "c": 4})
    assert (value, moved) == ("b", pytest.approx(0.2))


def test_of_equal_changes_the_last_value_is_named():
    assert infinity_norm({"a": 1}, {"z": 1}) == ("z", 1.0)


def test_infinity_norm_without_counts_is_nothing():
    assert infinity_norm({}, {}) == ("", 0.0)
    assert infinity_norm({"a": 3}, {}) == ("a", 1.0)


def test_normalized_difference_is_of_raw_counts():
    assert normalized_abs_difference({"a": 30, "b": 10}, {"a": 10, "c": 10}) == (
        "a",
        pytest.approx(20 / 60),
    )
    assert normalized_abs_difference({}, {}) == ("", 0.0)


def test_divergence_of_values():
    one, two = {"a": 6.0, "b": 4.0}, {"b": 5.0, "c": 5.0}
    assert jensen_shannon_values(one, two) == pytest.approx(plain_divergence([6, 4, 0], [0, 5, 5]))
    assert jensen_shannon_values(one, one) == 0.0
    assert jensen_shannon_values({"a": 1}, {"b": 1}) == 1.0
    assert jensen_shannon_values({}, one) is None
    assert jensen_shannon_values({"a": 0.0}, one) is None


def test_mass_is_spread_evenly_over_the_edges_of_both():
    one, two = histogram((0, 10, 10)), histogram((0, 5, 5), (5, 10, 5))
    assert jensen_shannon_histograms(one, two) == pytest.approx(0.0, abs=1e-12)


def test_an_outlier_on_one_side_moves_it_far():
    one = histogram((0, 1, 99), (1, 2, 1))
    two = histogram((0, 50, 99), (50, 100, 1))
    assert jensen_shannon_histograms(one, two) > 0.7


def test_nan_and_infinity_are_never_shared():
    nan = histogram((0, 1, 5), nan=5)
    assert jensen_shannon_histograms(nan, nan) == pytest.approx(0.5)
    infinite = histogram((0, 1, 5), (math.inf, math.inf, 5))
    assert jensen_shannon_histograms(infinite, infinite) == pytest.approx(0.5)


def test_single_numbers_are_shared():
    one = histogram((0, 0, 7), (0, 1, 3))
    assert jensen_shannon_histograms(one, one) == 0.0
    assert jensen_shannon_histograms(histogram((0, 0, 2)), histogram((0, 0, 9))) == 0.0


def test_nothing_to_compare():
    assert jensen_shannon_histograms(histogram(), histogram((0, 1, 1))) is None
    quantiles = histogram((0, 1, 1), kind=Histogram.QUANTILES)
    assert jensen_shannon_histograms(quantiles, histogram((0, 1, 1))) is None


@st.composite
def histograms(draw):
    edges = sorted(draw(st.lists(st.integers(-5, 5), min_size=2, max_size=7)))
    rows = [
        (float(low), float(high), float(draw(st.integers(0, 9))))
        for low, high in itertools.pairwise(edges)
    ]
    if draw(st.booleans()):
        rows.append((float(edges[-1]), math.inf, float(draw(st.integers(0, 5)))))
    if draw(st.booleans()):
        rows.insert(0, (-math.inf, -math.inf, 2.0))
    return histogram(*rows, (0.0, 0.0, 1.0), nan=draw(st.integers(0, 3)))


@settings(max_examples=200, deadline=None)
@given(histograms(), histograms())
def test_divergence_follows_the_rules(one, two):
    assert jensen_shannon_histograms(one, two) == pytest.approx(by_slow_rules(one, two), abs=1e-9)
