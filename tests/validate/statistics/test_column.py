from __future__ import annotations

import datetime as dt
import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.column import profile_column
from gristmill.validate.statistics.hashing import hash_texts

FLOATS = st.lists(
    st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0]),
    max_size=40,
)
TEXTS = st.lists(st.none() | st.text("aé日 \ufffd", max_size=4), max_size=40)


@given(FLOATS)
@settings(max_examples=100, deadline=None)
def test_floats_are_counted_as_a_plain_loop_counts_them(cells: list[float | None]) -> None:
    found = profile_column(pl.Series(cells, dtype=pl.Float64)).feature
    present = [cell for cell in cells if cell is not None]
    finite = [cell for cell in present if math.isfinite(cell)]
    assert (found.rows, found.missing) == (len(cells), len(cells) - len(present))
    if not present:
        assert (found.kind, found.numbers) == ("empty", None)
        return
    numbers = found.numbers
    assert numbers.n == len(finite)
    assert numbers.nan == sum(map(math.isnan, present))
    assert (numbers.pos_inf, numbers.neg_inf) == (present.count(math.inf), present.count(-math.inf))
    assert numbers.zeros == finite.count(0.0)
    assert (numbers.low, numbers.high) == (min(finite, default=None), max(finite, default=None))
    if finite:
        assert numbers.mean == pytest.approx(np.mean(finite), abs=1e-6)
        assert numbers.std == pytest.approx(np.std(finite), abs=1e-6)


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_texts_are_counted_measured_and_hashed(cells: list[str | None]) -> None:
    profiled = profile_column(pl.Series(cells, dtype=pl.String))
    found, present = profiled.feature, [cell for cell in cells if cell is not None]
    if not present:
        assert profiled.words is None
        return
    assert found.values.counts() == Counter(present)
    assert found.distinct_count.value == len(set(present))
    assert found.lengths.mean == pytest.approx(np.mean([len(cell) for cell in present]))
    assert found.byte_lengths.high == max(len(cell.encode()) for cell in present)
    assert found.invalid_utf8 == sum("\ufffd" in cell for cell in present)
    words = profiled.words[[cell is not None for cell in cells]]
    assert words.tolist() == hash_texts(pl.Series(present)).tolist()


def test_long_columns_give_what_short_ones_give() -> None:
    cells = [None if i % 7 == 0 else f"name {i % 50}" for i in range(20_000)]
    whole = profile_column(pl.Series(cells)).feature
    parts = [profile_column(pl.Series(cells[i : i + 2000])).feature for i in range(0, 20_000, 2000)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total.values.to_bytes() == whole.values.to_bytes()
    assert total.distinct.to_bytes() == whole.distinct.to_bytes()
    assert total.lengths.quantiles.to_bytes() == whole.lengths.quantiles.to_bytes()
    assert (total.rows, total.missing, total.kinds) == (whole.rows, whole.missing, whole.kinds)


def test_times_are_microseconds_whatever_their_type() -> None:
    days = [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)]
    as_days = profile_column(pl.Series(days)).feature
    as_times = profile_column(pl.Series(days).cast(pl.Datetime("ms"))).feature
    assert as_days.kind == "time"
    assert as_days.times.high - as_days.times.low == 2 * 86_400_000_000
    assert as_days.describe() == as_times.describe()


def test_text_that_should_be_numbers_is_parsed_and_the_rest_kept_as_text() -> None:
    profiled = profile_column(pl.Series(["1", "7h", "", None, str(2**80), " 3.0 "]), "int")
    found = profiled.feature
    assert found.kinds == {"int": 3, "string": 1}
    assert (found.missing, found.numbers.high) == (2, 2**80)
    assert found.values.counts() == {"7h": 1}
    assert profiled.column.dtype == pl.String


def test_lists_of_equally_many_floats_are_embeddings_and_others_are_not() -> None:
    vectors = profile_column(pl.Series([[0.5] * 8, None, [1.0] * 8])).feature
    assert (vectors.rows, vectors.missing, vectors.numbers.n) == (3, 1, 16)
    assert vectors.embedding is not None
    uneven = profile_column(pl.Series([[0.5] * 8, [1.0] * 7])).feature
    assert (uneven.embedding, uneven.valency.levels[0].low) == (None, 7)


def test_bools_bytes_and_categories() -> None:
    bools = profile_column(pl.Series([True, False, True, None])).feature
    assert bools.values.counts() == {"true": 2, "false": 1}
    names = pl.Series(["a", "b", "a"])
    categories = profile_column(names.cast(pl.Categorical)).feature
    assert categories.describe() == profile_column(names).feature.describe()
    assert profile_column(pl.Series([b"\xff", b"a"])).feature.invalid_utf8 == 1
