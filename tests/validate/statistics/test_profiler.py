from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate import profile

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | st.text(alphabet="ab é\ufffd", max_size=4),
            "flag": st.none() | st.booleans(),
            "count": st.none() | st.integers(-5, 5),
        }
    ),
    min_size=1,
    max_size=40,
)
SCHEMA = {"text": pl.String, "flag": pl.Boolean, "count": pl.Int64}


@given(ROWS, st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_figures_are_those_of_plain_python_in_any_partition(
    rows: list[dict[str, object]], partition_rows: int
) -> None:
    stats = profile(pl.DataFrame(rows, schema=SCHEMA), partition_rows=partition_rows)
    assert stats.rows == len(rows)
    assert stats.duplicates.value == len(rows) - len(
        {tuple(row[name] for name in SCHEMA) for row in rows}
    )
    for name, feature in stats.features.items():
        cells = [row[name] for row in rows if row[name] is not None]
        assert feature.missing == len(rows) - len(cells)
        assert feature.distinct_count.value == len(set(cells))
        assert feature.distinct_count.exact
    texts = [row["text"] for row in rows if row["text"] is not None]
    text = stats.features["text"]
    assert text.empty == texts.count("")
    assert text.broken == sum("\ufffd" in cell for cell in texts)
    if texts:
        assert text.values.counts() == dict(Counter(texts))
        assert text.lengths.high == max(map(len, texts))
    flags = [row["flag"] for row in rows if row["flag"] is not None]
    if flags:
        assert stats.features["flag"].values.counts() == dict(
            Counter("true" if flag else "false" for flag in flags)
        )


def test_two_days_add_up_to_one_pass_over_both(orders: Callable[..., pl.DataFrame]) -> None:
    monday, tuesday = orders(700, seed=1), orders(900, seed=2)
    added = profile(monday) + profile(tuesday)
    whole = profile(pl.concat([monday, tuesday]))
    assert _rounded(added.describe()) == _rounded(whole.describe())


def test_a_column_of_one_day_only_is_missing_on_the_other() -> None:
    both = profile(pl.DataFrame({"a": [1, 2]})) + profile(pl.DataFrame({"b": ["x"]}))
    assert both.rows == 3
    assert (both.features["a"].missing, both.features["b"].missing) == (1, 2)


def test_a_column_that_changes_type_is_still_one_column() -> None:
    both = profile(pl.DataFrame({"a": [1, 2]})) + profile(pl.DataFrame({"a": ["x"]}))
    assert both.features["a"].kind == "mixed"
    assert both.features["a"].kinds == {"int": 2, "string": 1}
    whole = profile(pl.DataFrame({"a": [1, 2]})) + profile(pl.DataFrame({"a": [1.0]}))
    assert whole.features["a"].kind == "float"
    assert whole.features["a"].distinct_count.value == 2


def test_pandas_frames_and_files_give_the_same_figures(
    orders: Callable[..., pl.DataFrame], tmp_path
) -> None:
    frame = orders(200).select("order_id", "hour", "paid")
    frame.write_csv(tmp_path / "orders.csv")
    expected = profile(frame).describe()
    assert profile(tmp_path / "orders.csv").describe() == expected
    assert profile(pd.DataFrame(frame.to_dict(as_series=False))).describe() == expected


def test_the_row_id_is_no_feature() -> None:
    stats = profile(pl.DataFrame({"row_id": [5, 6], "a": [1, 1]}))
    assert list(stats.features) == ["a"]
    assert stats.duplicates.value == 1


def test_nothing_is_profiled_as_nothing() -> None:
    stats = profile(pl.DataFrame({"a": [], "b": []}, schema={"a": pl.Int64, "b": pl.String}))
    assert stats.rows == 0
    assert json.dumps(stats.describe())
    assert stats.features["a"].kind == "empty"


def test_partitions_of_no_rows_are_refused() -> None:
    with pytest.raises(UsageError, match="expected partition_rows of at least 1, found 0"):
        profile(pl.DataFrame({"a": [1]}), partition_rows=0)


def _rounded(value: object) -> object:
    """Figures to nine digits: sums of floats depend on the order of adding in the last ones."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
