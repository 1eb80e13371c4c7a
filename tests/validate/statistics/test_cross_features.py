from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.cross_features import CrossFeatures, rank_correlations
from gristmill.validate.statistics.hashing import hash_rows
from gristmill.validate.statistics.row_sample import RowSample

CELL = st.none() | st.floats(-100, 100).map(lambda x: round(x, 2)) | st.just(float("nan"))
ROWS = st.lists(st.tuples(CELL, CELL, CELL), max_size=40)
SCHEMA = {"a": pl.Float64, "b": pl.Float64, "c": pl.Float64}


def _pair(frame: pl.DataFrame, one: str, two: str) -> tuple[list[float], list[float]]:
    rows = [
        (row[one], row[two])
        for row in frame.to_dicts()
        if all(row[n] is not None and np.isfinite(row[n]) for n in (one, two))
    ]
    return [x for x, _ in rows], [y for _, y in rows]


@given(ROWS, st.integers(0, 40), st.sampled_from([0.0, 1e6]))
@example([(10.0, 1.0, None), (1.69, None, None), (10.0, 0.0, None), (10.0, 0.0, None)], 0, 0.0)
@example([(None, None, 0.0), (None, None, -48.0), (None, 0.0, 1.0), (None, 1.0, 1.0)], 3, 0.0)
@settings(max_examples=100, deadline=None)
def test_covariance_is_numpys_over_complete_pairs_in_any_split(
    rows: list[tuple[float | None, ...]], cut: int, far: float
) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").select(pl.all() + far)
    state = CrossFeatures.of(frame[cut:]) + CrossFeatures.of(frame[:cut])
    for one in SCHEMA:
        for two in SCHEMA:
            x, y = _pair(frame, one, two)
            covariance, correlation, count = state.pair(one, two)
            assert count == len(x)
            if not x:
                assert np.isnan(covariance)
                continue
            expected = np.cov(x, y, bias=True)
            assert covariance == pytest.approx(expected[0, 1], abs=1e-6)
            if np.sqrt(expected[0, 0] * expected[1, 1]) > 1e-3:
                spread = np.sqrt(expected[0, 0] * expected[1, 1])
                assert correlation == pytest.approx(expected[0, 1] / spread, abs=1e-5)
            if len(set(x)) == 1:
                assert np.isnan(correlation)
    again = CrossFeatures.from_document(state.to_document())
    assert again.to_document() == state.to_document()


def test_complete_columns_take_the_short_way_to_the_same_figures() -> None:
    numbers = np.random.default_rng(1).normal([0.0, 1e8, 5.0], size=(500, 3))
    frame = pl.DataFrame(numbers, schema=list("abc"))
    gap = frame.with_columns(d=pl.lit(None, dtype=pl.Float64))
    short, long = CrossFeatures.of(frame), CrossFeatures.of(gap, list("abcd"))
    for part in ("counts", "means", "squares", "products"):
        assert np.allclose(getattr(short, part), getattr(long, part)[:3, :3], rtol=1e-9, atol=1e-6)
    assert np.allclose(short.correlation(), np.corrcoef(numbers.T), atol=1e-9)


def test_columns_that_one_part_lacks_have_no_rows_there() -> None:
    one = CrossFeatures.of(pl.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}))
    both = one + CrossFeatures.of(pl.DataFrame({"b": [1, 2, 4], "a": [3, 5, 9]}))
    assert both.names == ("a", "b")
    assert both.pair("a", "b")[1:] == (pytest.approx(1.0), 3)
    assert both.pair("a", "a")[2] == 5
    assert both.describe()["pairs"][0]["rows"] == 3  # type: ignore[index]


def test_names_are_checked() -> None:
    with pytest.raises(UsageError, match="expected a column of the table, found 'z'"):
        CrossFeatures.of(pl.DataFrame({"a": [1]}), ["z"])
    with pytest.raises(UsageError, match="expected one of the columns a, found 'z'"):
        CrossFeatures.of(pl.DataFrame({"a": [1]})).pair("a", "z")
    with pytest.raises(ValueError, match="shape"):
        CrossFeatures(("a", "b"), *[np.zeros((1, 1))] * 4)


def _spearman(x: list[float], y: list[float]) -> float:
    ranks = [[sum(b < a for b in s) + sum(b == a for b in s) / 2 for a in s] for s in (x, y)]
    return float(np.corrcoef(ranks)[0, 1])


@given(st.lists(st.tuples(*[st.none() | st.integers(0, 5)] * 3), max_size=30, unique=True))
@settings(max_examples=60, deadline=None)
def test_rank_correlations_are_those_of_counting(rows: list[tuple[int | None, ...]]) -> None:
    schema = {**dict.fromkeys("abc", pl.Int64), "d": pl.Int64}
    numbered = [(*row, i * i) for i, row in enumerate(rows)]
    frame = pl.DataFrame(numbered, schema=schema, orient="row")
    sample = RowSample.of(frame, hash_rows(frame))
    names, found, counts = rank_correlations(sample)
    assert names == list("abcd")
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            x, y = _pair(frame, one, two)
            assert counts[i, j] == len(x)
            if len(set(x)) < 2 or len(set(y)) < 2:
                assert np.isnan(found[i, j])
            else:
                assert found[i, j] == pytest.approx(_spearman(x, y))
