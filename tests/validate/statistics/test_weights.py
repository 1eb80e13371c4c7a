from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.validate.statistics.weights import (
    MAX_EXACT,
    MAX_VALUES,
    WeightedFigures,
    WeightedNumbers,
    check_weights,
)

# Quarters add up exactly, so that figures can be compared for equality.
WEIGHT = st.integers(0, 20).map(lambda n: n / 4)
ROWS = st.lists(st.tuples(st.none() | st.integers(-9, 9), WEIGHT), max_size=50)
RANKS = [0.0, 0.1, 0.5, 0.9, 1.0]


def _figures(rows: list[tuple[object, float]], dtype: pl.DataType) -> WeightedFigures:
    cells = pl.Series("a", [cell for cell, _ in rows], dtype=dtype)
    return WeightedFigures.of(cells, pl.Series("w", [w for _, w in rows], dtype=pl.Float64))


@given(ROWS, st.integers(0, 50))
@settings(max_examples=100, deadline=None)
def test_numbers_weigh_as_if_replicated_in_any_split(
    rows: list[tuple[int | None, float]], cut: int
) -> None:
    state = _figures(rows[cut:], pl.Int64()) + _figures(rows[:cut], pl.Int64())  # type: ignore[arg-type]
    copies = [cell for cell, weight in rows if cell is not None for _ in range(int(weight * 4))]
    assert state.missing == sum(weight for cell, weight in rows if cell is None)
    assert state.present == state.elements == len(copies) / 4
    if copies:
        assert state.numbers is not None
        assert state.numbers.mean == pytest.approx(np.mean(copies))
        assert state.numbers.std == pytest.approx(np.std(copies), abs=1e-9)
        assert state.numbers.zeros == copies.count(0) / 4
        expected = np.quantile(copies, RANKS, method="inverted_cdf")
        assert state.numbers.quantiles(RANKS).tolist() == expected.tolist()
        between = state.numbers.counts_between(np.array([-3.0, 4.0])) * 4
        assert between.tolist() == [
            sum(c <= -3 for c in copies),
            sum(-3 < c <= 4 for c in copies),
            sum(c > 4 for c in copies),
        ]
    assert WeightedFigures.from_document(state.to_document()).to_document() == state.to_document()


@given(
    st.lists(st.tuples(st.none() | st.sampled_from("abc"), WEIGHT), max_size=40), st.integers(0, 40)
)
@settings(max_examples=60, deadline=None)
def test_texts_are_weighed(rows: list[tuple[str | None, float]], cut: int) -> None:
    state = _figures(rows[cut:], pl.String()) + _figures(rows[:cut], pl.String())  # type: ignore[arg-type]
    expected: dict[str, float] = defaultdict(float)
    for cell, weight in rows:
        if cell is not None:
            expected[cell] += weight
    assert state.values == expected
    assert state.top() == sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))
    assert state.lost == 0


def test_the_elements_of_a_list_weigh_as_their_row() -> None:
    column = pl.Series(
        "a", [[[1, 2], None, []], None, [], [[3, None]]], dtype=pl.List(pl.List(pl.Int64))
    )
    state = WeightedFigures.of(column, pl.Series([1.0, 2.0, 4.0, 8.0]))
    assert (state.present, state.missing, state.elements) == (13.0, 2.0, 10.0)
    assert state.numbers is not None
    assert state.numbers.mean == pytest.approx((1 + 2 + 24) / 10)


@pytest.mark.parametrize("seed", range(3))
def test_pooled_ranks_lie_within_the_certain_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers, weights = rng.lognormal(size=4 * MAX_EXACT), rng.gamma(0.3, size=4 * MAX_EXACT)
    numbers[:2000] = 1.0
    parts = zip(np.array_split(numbers, 7), np.array_split(weights, 7), strict=True)
    first, *others = (WeightedNumbers.of(*part) for part in parts)
    for other in others:
        first = first + other
    assert 0 < first.rank_error < 0.01
    assert len(first.values) <= MAX_EXACT
    for mark in np.quantile(numbers, [0.01, 0.2, 0.5, 0.8, 0.99]):
        true = weights[numbers <= mark].sum() / weights.sum()
        found = first.counts_between(np.array([mark]))[0] / first.weight
        assert abs(found - true) <= first.rank_error + 1e-9
    assert first.weight == pytest.approx(weights.sum())


def test_too_many_texts_leave_the_heaviest_and_a_bound() -> None:
    names = [f"t{i}" for i in range(2 * MAX_VALUES)] + ["heavy"] * 50
    column, weights = pl.Series(names), pl.Series(np.ones(len(names)))
    state = WeightedFigures.of(column, weights) + WeightedFigures.of(column, weights)
    assert state.top(1) == [("heavy", 100.0)]
    assert len(state.values) == MAX_VALUES
    assert state.lost >= 1
    assert sum(state.values.values()) + state.other == pytest.approx(2 * len(names))


def test_bad_weights_are_an_error_that_names_the_rows() -> None:
    weights = pl.Series("w", [1.0, -2.0, None, float("nan"), float("inf"), -1.0, -1.0])
    with pytest.raises(DataError) as caught:
        check_weights(weights, pl.Series(list("abcdefg")))
    assert caught.value.message == (
        "expected weights of at least 0, found -2.0 (row b), None (row c), nan (row d), "
        "inf (row e), -1.0 (row f) and 1 more"
    )
    assert caught.value.where == "column 'w'"
    with pytest.raises(DataError, match="expected weights that are numbers, found String"):
        check_weights(pl.Series(["x"]))
