from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate import Numbers, histogram


def test_equal_mass_bins_hold_equal_counts() -> None:
    made = histogram(Numbers.of(pl.Series(np.arange(1000.0))), bins=4)
    assert made.counts == pytest.approx([250, 250, 250, 250])
    assert (made.edges[0], made.edges[-1]) == (0.0, 999.0)
    assert made.count_error == 0.0


@pytest.mark.parametrize("by", ["mass", "width"])
def test_counts_agree_with_numpy_on_the_same_edges(by: str) -> None:
    numbers = np.random.default_rng(0).lognormal(size=500)
    made = histogram(Numbers.of(pl.Series(numbers)), bins=7, by=by)
    inner = np.array(made.edges[1:-1])
    expected = np.bincount(np.searchsorted(inner, numbers, side="left"), minlength=7)
    assert made.counts == pytest.approx(expected.tolist())


def test_equal_width_bins_are_equally_wide() -> None:
    made = histogram(Numbers.of(pl.Series([0, 1, 1, 10])), bins=5, by="width")
    assert np.diff(made.edges).tolist() == pytest.approx([2.0] * 5)
    assert made.counts == pytest.approx([3, 0, 0, 0, 1])


def test_heavy_values_make_fewer_bins() -> None:
    made = histogram(Numbers.of(pl.Series([0] * 90 + list(range(1, 11)))), bins=10)
    assert sum(made.counts) == pytest.approx(100)
    assert len(set(made.edges)) == len(made.edges)


def test_no_numbers_make_no_bins() -> None:
    assert histogram(Numbers.of(pl.Series([None], dtype=pl.Int64))).counts == []
    with pytest.raises(UsageError, match="expected at least 1 bin, found 0"):
        histogram(Numbers.of(pl.Series([1])), bins=0)
