from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.validate.statistics.quantiles import MAX_EXACT, Quantiles

RANKS = [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0]


def _by_sorting(numbers: list[float], rank: float) -> float:
    place = max(1, int(np.ceil(rank * len(numbers) - 1e-9)))
    return sorted(numbers)[place - 1]


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=80), st.integers(0, 80))
@settings(max_examples=150, deadline=None)
def test_exact_quantiles_are_those_of_the_sorted_numbers(numbers: list[float], cut: int) -> None:
    data = np.array(numbers)
    merged = Quantiles.of(data[:cut]) + Quantiles.of(data[cut:])
    assert merged.exact
    assert merged.rank_error == 0.0
    assert merged.quantiles(RANKS).tolist() == [_by_sorting(numbers, rank) for rank in RANKS]
    marks = np.unique(data)[:5]
    assert merged.ranks(marks).tolist() == [float(np.mean(data <= mark)) for mark in marks]


@pytest.mark.parametrize("seed", range(3))
def test_sketched_ranks_lie_within_the_stated_bound_after_merging(seed: int) -> None:
    numbers = np.random.default_rng(seed).lognormal(size=3 * MAX_EXACT)
    parts = [Quantiles.of(part) for part in np.array_split(numbers, 4)]
    merged = (parts[0] + parts[1]) + (parts[2] + parts[3])
    assert not merged.exact
    assert merged.n == len(numbers)
    assert 0 < merged.rank_error < 0.01
    ordered = np.sort(numbers)
    found = np.searchsorted(ordered, merged.quantiles(RANKS), side="right") / len(numbers)
    # The bound holds with 99 % each; twice the bound holds for all practical purposes.
    assert np.abs(found - RANKS).max() <= 2 * merged.rank_error


def test_merging_leaves_both_sides_alone() -> None:
    big = Quantiles.of(np.arange(2.0 * MAX_EXACT))
    small = Quantiles.of(np.arange(10.0))
    before = big.to_bytes(), small.to_bytes()
    big + small
    small + big
    assert (big.to_bytes(), small.to_bytes()) == before


@pytest.mark.parametrize("size", [0, 5, 2 * MAX_EXACT])
def test_bytes_round_trip(size: int) -> None:
    made = Quantiles.of(np.arange(float(size)))
    again = Quantiles.from_bytes(made.to_bytes())
    assert again.to_bytes() == made.to_bytes()
    assert again.n == size
    assert again.exact == made.exact


def test_foreign_bytes_are_refused() -> None:
    with pytest.raises(DataError, match="expected the bytes of a quantile sketch"):
        Quantiles.from_bytes(b"nonsense")


@given(st.lists(st.floats(-9, 9), max_size=99), st.lists(st.floats(-9, 9), max_size=9, unique=True))
@settings(max_examples=80, deadline=None)
def test_counts_are_whole_numbers_while_exact(numbers: list[float], edges: list[float]) -> None:
    edges.sort()
    found = Quantiles.of(np.array(numbers, dtype=np.float64)).counts_between(np.array(edges))
    ends = [-np.inf, *edges, np.inf]
    pairs = pairwise(ends)
    assert found.tolist() == [sum(low < x <= high for x in numbers) for low, high in pairs]


def test_counts_between_edges_cover_everything() -> None:
    made = Quantiles.of(np.array([0.0, 1.0, 1.0, 2.0, 5.0]))
    assert made.counts_between(np.array([0.0, 1.0])).tolist() == pytest.approx([1, 2, 2])


@pytest.mark.parametrize("size", [MAX_EXACT + 1, 1 << 17, (1 << 18) - 1, 300_001])
def test_sorted_numbers_laid_out_as_a_sketch_keep_count_extremes_and_ranks(size: int) -> None:
    numbers = np.random.default_rng(size).normal(size=size)
    made = Quantiles.of(numbers)
    assert not made.exact
    assert made.n == size
    assert made.quantiles([0.0, 1.0]).tolist() == [numbers.min(), numbers.max()]
    ordered = np.sort(numbers)
    marks = ordered[:: size // 997]
    truth = np.searchsorted(ordered, marks, side="right") / size
    assert np.abs(made.ranks(marks) - truth).max() <= 1 / 1200


def test_heavy_counts_cost_no_more_than_light_ones() -> None:
    values = np.arange(MAX_EXACT + 1.0)
    heavy = Quantiles.of_counts(values, np.full(len(values), 10**12))
    assert heavy.n == (MAX_EXACT + 1) * 10**12
    assert heavy.quantiles([0.5])[0] == pytest.approx(MAX_EXACT / 2, rel=2 * heavy.rank_error)


def test_many_partitions_merged_in_any_order_stay_within_the_bound() -> None:
    rng = np.random.default_rng(7)
    parts = [np.sort(rng.gamma(1.0, 5.0, int(n))) for n in rng.integers(100, 90_000, 30)]
    ordered = np.sort(np.concatenate(parts))
    for order in (range(30), rng.permutation(30)):
        total = Quantiles.empty()
        for place in order:
            total = total + Quantiles.of(parts[place])
        found = np.searchsorted(ordered, total.quantiles(RANKS), side="right") / len(ordered)
        assert total.n == len(ordered)
        assert np.abs(found - RANKS).max() <= 2 * total.rank_error


def test_thinned_quantiles_keep_their_bound_and_few_values_stay_exact() -> None:
    numbers = np.random.default_rng(4).normal(size=5000)
    exact = Quantiles.of(numbers)
    assert exact.thinned(5000) is exact
    thin = exact.thinned(4999)
    assert (thin.exact, thin.n) == (False, exact.n)
    assert thin.thinned(10) is thin
    marks = np.linspace(-2, 2, 41)
    assert np.abs(thin.ranks(marks) - exact.ranks(marks)).max() <= thin.rank_error
    assert len(thin.to_bytes()) < 12_000 < len(exact.to_bytes())


@pytest.mark.parametrize("numbers", [
    np.arange(1000.0), np.repeat(np.arange(9.0), 4), np.arange(2.0 * MAX_EXACT), np.empty(0)
], ids=["all differ", "some repeat", "sketched", "none"])  # fmt: skip
def test_they_travel_as_they_are(numbers: np.ndarray) -> None:
    found = Quantiles.of(numbers)
    message = pickle.dumps(found)
    assert pickle.loads(message).to_bytes() == found.to_bytes()
    assert len(message) < 9 * 1000 + 500


def test_what_has_travelled_adds_up() -> None:
    one, two = Quantiles.of(np.arange(10.0)), Quantiles.of(np.arange(5.0, 20.0))
    there = pickle.loads(pickle.dumps(one)) + pickle.loads(pickle.dumps(two))
    assert there.to_bytes() == (one + two).to_bytes()
