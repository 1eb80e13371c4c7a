from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.numbers import Numbers

ANY_FLOAT = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])


def _reference(cells: list[float | None]) -> dict[str, object]:
    present = [cell for cell in cells if cell is not None]
    finite = [cell for cell in present if math.isfinite(cell)]
    return {
        "n": len(finite),
        "low": min(finite, default=None),
        "high": max(finite, default=None),
        "zeros": sum(1 for cell in finite if cell == 0),
        "nan": sum(1 for cell in present if math.isnan(cell)),
        "pos_inf": present.count(math.inf),
        "neg_inf": present.count(-math.inf),
    }


@given(st.lists(ANY_FLOAT, max_size=60), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_any_split_adds_up_to_one_pass_and_to_plain_python(
    cells: list[float | None], one: int, two: int
) -> None:
    column = pl.Series("x", cells, dtype=pl.Float64)
    low, high = sorted((min(one, len(cells)), min(two, len(cells))))
    parts = [Numbers.of(part) for part in (column[:low], column[low:high], column[high:])]
    left, right = (parts[0] + parts[1]) + parts[2], parts[0] + (parts[1] + parts[2])
    whole = Numbers.of(column)
    finite = [cell for cell in cells if cell is not None and math.isfinite(cell)]
    for state in (left, right, whole):
        figures = state.figures()
        assert {key: figures[key] for key in _reference(cells)} == _reference(cells)
        assert state.quantiles.to_bytes() == whole.quantiles.to_bytes()
        if finite:
            assert state.mean == pytest.approx(np.mean(finite), rel=1e-12, abs=1e-9)
            assert state.std == pytest.approx(np.std(finite), rel=1e-9, abs=1e-6)


def test_merging_keeps_the_moments_of_numbers_far_from_zero() -> None:
    numbers = 1e9 + np.random.default_rng(0).normal(size=10_000)
    parts = [Numbers.of(pl.Series(part)) for part in np.array_split(numbers, 37)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total.std == pytest.approx(np.std(numbers), rel=1e-6)


def test_extremes_of_big_integers_stay_exact() -> None:
    numbers = Numbers.of(pl.Series([0, 2**63 + 5], dtype=pl.UInt64))
    assert (numbers.low, numbers.high) == (0, 2**63 + 5)


def test_extremes_of_integers_beyond_64_bits_stay_exact() -> None:
    numbers = Numbers.of(pl.Series([-(2**90), 5, 2**100 + 1], dtype=pl.Int128))
    assert (numbers.low, numbers.high, numbers.n) == (-(2**90), 2**100 + 1, 3)


def test_neighbouring_large_integers_are_one_float_and_all_counted() -> None:
    numbers = Numbers.of(pl.Series([2**60, 2**60 + 1, 2**60 + 1]))
    assert (numbers.n, numbers.high) == (3, 2**60 + 1)
    assert numbers.quantiles.value_counts()[1].tolist() == [3]


def test_the_largest_floats_have_a_finite_mean_and_spread() -> None:
    one, two = (Numbers.of(pl.Series([sign * 1.7e308])) for sign in (1, -1))
    for state in (Numbers.of(pl.Series([1.7e308, -1.7e308])), one + two):
        assert state.mean == pytest.approx(0.0, abs=1e300)
        assert math.isfinite(state.std)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=50))
@settings(max_examples=60, deadline=None)
def test_counts_give_the_figures_of_the_cells(cells: list[int]) -> None:
    values, counts = np.unique(np.array(cells), return_counts=True)
    state = Numbers.of_counts(values, counts)
    assert state.figures() == Numbers.of(pl.Series(cells)).figures()
    assert state.mean == pytest.approx(np.mean(cells), abs=1e-12)
    assert state.std == pytest.approx(np.std(cells), abs=1e-12)
