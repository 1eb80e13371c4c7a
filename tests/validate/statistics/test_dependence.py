from __future__ import annotations

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.dependence import lift, mutual_information

PAIRS = st.lists(
    st.tuples(st.sampled_from(["x", "y", None]), st.sampled_from(["p", "q", "r"])), min_size=1
)


@given(PAIRS)
@settings(max_examples=80, deadline=None)
def test_lift_is_the_ratio_of_counted_shares(pairs: list[tuple[str | None, str]]) -> None:
    table = pl.DataFrame(pairs, schema={"f": pl.String, "y": pl.String}, orient="row")
    named = [(value or "(missing)", label) for value, label in pairs]
    values, labels = Counter(v for v, _ in named), Counter(y for _, y in named)
    found = lift(table, "f", "y")
    assert {(one.value, one.label) for one in found} == {(v, y) for v in values for y in labels}
    for one in found:
        both = named.count((one.value, one.label))
        expected = both / values[one.value] / (labels[one.label] / len(pairs))
        assert one.count == both
        assert one.lift == pytest.approx(expected)
        assert one.low <= one.lift + 1e-12
        assert one.lift <= one.high + 1e-12
    distances = [abs(one.lift - 1) for one in found]
    assert distances == sorted(distances, reverse=True)


@given(PAIRS)
@settings(max_examples=60, deadline=None)
def test_information_is_the_divergence_from_independence(
    pairs: list[tuple[str | None, str]],
) -> None:
    table = pl.DataFrame(pairs, schema={"f": pl.String, "y": pl.String}, orient="row")
    n, both = len(pairs), Counter(pairs)
    left, right = Counter(v for v, _ in pairs), Counter(y for _, y in pairs)
    plugin = sum(c / n * math.log2(c * n / (left[v] * right[y])) for (v, y), c in both.items())
    bias = (len(left) - 1) * (len(right) - 1) / (2 * n * math.log(2))
    (found,) = mutual_information(table, "y")
    assert found.bits == pytest.approx(max(0.0, plugin - bias), abs=1e-9)
    assert 0 <= found.share <= 1


def test_numbers_times_and_lists_are_counted_in_bins() -> None:
    rng = np.random.default_rng(0)
    hours = np.arange(5000) % 977
    table = pl.DataFrame(
        {
            "close": hours + rng.normal(0, 20, 5000),
            "noise": rng.normal(size=5000),
            "when": pl.Series(hours * 3_600_000_000).cast(pl.Datetime("us")),
            "many": [f"v{i}" for i in range(5000)],
            "list": [[int(i % 2)] for i in range(5000)],
            "gap": pl.Series([None, float("nan")] * 2500, dtype=pl.Float64),
            "y": hours > 488,
        }
    )
    found = {one.feature: one for one in mutual_information(table, "y")}
    assert found["when"].share > 0.85
    assert found["close"].share > 0.7
    assert found["noise"].share < 0.01
    assert found["list"].share < 0.01
    assert found["many"].share < 0.1
    assert {one.value for one in lift(table, "gap", "y")} == {"(missing)", "NaN"}


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a column of the table, found 'z'"):
        lift(pl.DataFrame({"a": [1]}), "a", "z")
