from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import statistics_pb2

from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.quantiles import Quantiles
from gristmill.validate.tfdv.buckets import (
    histograms,
    length_histogram,
    plain_lengths,
    quantiles_of,
)

Histogram = statistics_pb2.Histogram


def rows(histogram):
    return [(b.low_value, b.high_value, round(b.sample_count, 9)) for b in histogram.buckets]


def both(values):
    return histograms(Numbers.of(pl.Series(values, dtype=pl.Float64)))


def test_buckets_of_equal_width_count_exactly():
    standard, _ = both([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert standard.type == Histogram.STANDARD
    assert rows(standard) == [(0, 1, 2), *((float(i), float(i + 1), 1) for i in range(1, 10))]


def test_a_heavy_number_shares_its_mass_among_buckets_of_no_width():
    _, quantiles = both([0.0] * 25 + list(range(1, 76)))
    assert quantiles.type == Histogram.QUANTILES
    assert rows(quantiles)[:3] == [(0, 0, 12.5), (0, 0, 12.5), (0, 5, 5)]


def test_nan_is_counted_and_infinities_have_buckets():
    for histogram in both([1, 2, 3, math.nan, math.inf, math.inf, -math.inf]):
        assert histogram.num_nan == 1
        assert rows(histogram)[0] == (-math.inf, -math.inf, 1)
        assert rows(histogram)[-1] == (math.inf, math.inf, 2)


def test_no_numbers_have_no_buckets():
    assert [rows(each) for each in both([])] == [[], []]
    assert rows(length_histogram(plain_lengths(0))) == []


def test_plain_cells_are_lists_of_one():
    assert rows(length_histogram(plain_lengths(25))) == [(1, 1, 2.5)] * 10


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=80))
def test_all_mass_is_in_both(values):
    for histogram in both(values):
        assert sum(b.sample_count for b in histogram.buckets) == pytest.approx(len(values))
        edges = [b.high_value for b in histogram.buckets]
        assert edges == sorted(edges)
        assert edges[-1] == max(values)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=80))
def test_a_distribution_read_back_has_the_ranks_of_the_edges(values):
    _, histogram = both(values)
    edges = np.unique([b.high_value for b in histogram.buckets])
    read = quantiles_of(histogram)
    assert read.n == len(values)
    assert read.ranks(edges) == pytest.approx(
        Quantiles.of(np.array(values)).ranks(edges), abs=1 / len(values)
    )
