from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.validate.drifts.correlations import _correlations, _ranks, broken_correlations

COLUMNS = ["x", "y", "z", "kind"]


def table(seed: int, rows: int = 800) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pl.DataFrame(
        {
            "x": x,
            "y": np.exp(x + rng.normal(0, 0.4, rows)),
            "z": rng.normal(size=rows) - 0.7 * x,
            "kind": np.where(x > 0.3, "high", "low"),
        }
    )


@pytest.mark.parametrize("seed", range(1, 15))
def test_samples_of_one_source_are_silent(seed: int) -> None:
    assert broken_correlations(table(0), table(seed, 150), COLUMNS, 0.05) == []


@pytest.mark.parametrize("name", COLUMNS)
def test_a_shuffled_column_is_the_one_culprit(name: str) -> None:
    after = table(1)
    mixed = after.with_columns(after[name][np.random.default_rng(2).permutation(after.height)])
    found = broken_correlations(table(0), mixed, COLUMNS, 0.2)
    assert [(shift.code, shift.feature) for shift in found] == [("broken_correlation", name)]


def test_the_message_names_the_pairs() -> None:
    after = table(1).with_columns(pl.col("y").reverse())
    found = broken_correlations(table(0), after, ["x", "y"], 0.2)
    assert found[0].message.startswith(
        "rank correlations with other columns have changed (x with y: 0.9"
    )


def test_changed_columns_are_left_out() -> None:
    after = table(1).with_columns(pl.col("y").reverse())
    assert broken_correlations(table(0), after, COLUMNS, 0.2, changed=["y"]) == []


def test_few_rows_or_no_sample_say_nothing() -> None:
    assert broken_correlations(None, table(1), COLUMNS, 0.2) == []
    assert broken_correlations(table(0), table(1, 20), COLUMNS, 0.2) == []


def test_correlations_leave_missing_cells_out_pair_by_pair() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(300, 4))
    scores[:, 3] += scores[:, 0]
    scores[rng.random(scores.shape) < 0.2] = np.nan
    fast, counts = _correlations(scores)
    for i in range(4):
        for j in range(4):
            both = ~np.isnan(scores[:, i]) & ~np.isnan(scores[:, j])
            slow = np.corrcoef(scores[both, i], scores[both, j])[0, 1]
            assert fast[i, j] == pytest.approx(slow)
            assert counts[i, j] == both.sum()


def test_ranks_are_averages_over_ties() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 9, 200).astype(float)
    numbers[rng.random(200) < 0.1] = np.nan
    series = pl.Series(numbers).fill_nan(None)
    slow = series.rank("average") / series.count() - 0.5
    assert _ranks(numbers) == pytest.approx(slow.fill_null(np.nan).to_numpy(), nan_ok=True)
    assert np.isnan(_ranks(np.full(3, np.nan))).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_handful_of_rows_is_no_correlation(seed: int) -> None:
    def rare(rows: int, of: int) -> pl.DataFrame:
        rng = np.random.default_rng([seed, rows])
        both = rng.random(rows) < of / rows
        return pl.DataFrame({f"c{i}": both * rng.integers(1, 4, rows) for i in range(3)})

    apart = rare(5000, 20).with_columns(pl.col("c1").shuffle(1), pl.col("c2").shuffle(2))
    assert broken_correlations(rare(200, 3), apart, ["c0", "c1", "c2"], 0.2) == []
