from __future__ import annotations

import datetime as dt
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.validate.statistics.hashing import hash_rows
from gristmill.validate.statistics.row_sample import RowSample, rows_kept, smallest


def _sample(frame: pl.DataFrame, size: int = 16) -> RowSample:
    return RowSample.of(frame, hash_rows(frame), size)


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(0, 120), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_the_sample_is_the_smallest_hashes_in_any_split_and_order(
    numbers: list[int], cut: int, size: int
) -> None:
    frame = pl.DataFrame({"a": pl.Series(numbers, dtype=pl.Int64)})
    frame = frame.with_columns(b=pl.col("a").cast(pl.String))
    merged = _sample(frame[cut:], size) + _sample(frame[:cut], size)
    by_hash = Counter(hash_rows(frame).tolist())
    expected = sorted(by_hash)[:size]
    assert merged.hashes.tolist() == expected
    assert merged.counts.tolist() == [by_hash[word] for word in expected]
    assert hash_rows(merged.frame).tolist() == expected
    assert merged.to_bytes() == _sample(frame, size).to_bytes()
    assert RowSample.from_bytes(merged.to_bytes()).to_bytes() == merged.to_bytes()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=200), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_smallest_is_that_of_sorting(words: list[int], size: int) -> None:
    hashes = np.array(words, dtype=np.uint64)
    found, places, counts = smallest(hashes, size)
    expected = sorted(set(words))[:size]
    assert found.tolist() == hashes[places].tolist() == expected
    assert counts.tolist() == [words.count(word) for word in expected]


def test_every_kind_of_cell_survives_the_bytes() -> None:
    frame = pl.DataFrame(
        {
            "i": pl.Series([1, None], dtype=pl.Int8),
            "u": pl.Series([2**64 - 1, None], dtype=pl.UInt64),
            "f": [float("nan"), None],
            "b": [True, None],
            "t": [dt.datetime(2024, 1, 2, 3), None],
            "d": [dt.date(2024, 1, 2), None],
            "s": ["ü" * 300, None],
            "x": [b"\xff\xfe", None],
            "l": [["a", "b"], None],
            "c": pl.Series(["k", None], dtype=pl.Categorical),
            "o": [dt.time(1, 2), None],
            "n": [None, None],
        }
    )
    sample = _sample(frame)
    again = RowSample.from_bytes(sample.to_bytes())
    assert again.frame.equals(sample.frame)
    assert again.frame.schema == sample.frame.schema
    row = again.frame.filter(pl.col("i") == 1).row(0, named=True)
    assert row["s"] == "ü" * 256
    assert row["x"] == "2 bytes"
    assert row["l"] == '{"l":["a","b"]}'
    assert row["u"] == 2**64 - 1
    assert row["t"] == dt.datetime(2024, 1, 2, 3)
    assert RowSample.from_document(sample.to_document()).to_bytes() == sample.to_bytes()
    assert sample.describe()["rows"] == 2


def test_columns_of_different_types_meet_whatever_the_order() -> None:
    parts = [
        _sample(pl.DataFrame({"a": cells}))
        for cells in ([1, 2], [1.5, 3.0], ["x", None], pl.Series([None], dtype=pl.Null))
    ]
    one, two, three, four = parts
    left = ((one + two) + three) + four
    right = one + (two + (three + four))
    assert left.to_bytes() == right.to_bytes()
    assert set(left.frame["a"]) == {"1", "2", "1.5", "3", "x", None}


def test_a_column_that_one_side_lacks_is_missing_there() -> None:
    merged = _sample(pl.DataFrame({"a": [1]})) + _sample(pl.DataFrame({"a": [2], "b": ["x"]}))
    assert sorted(merged.frame.rows()) == [(1, None), (2, "x")]


def test_wide_tables_keep_fewer_rows() -> None:
    assert rows_kept(18) == 4096
    assert rows_kept(1000) == 524
    assert rows_kept(100_000) == 256
    assert rows_kept(100_000, 100) == 100


@pytest.mark.parametrize("data", [b"nonsense", b"GRS1", b"GRS1\x94\x01\x91\x01\x90\x90"])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="expected the bytes of a row sample"):
        RowSample.from_bytes(data)
    with pytest.raises(ValueError, match="expected the bytes of a row sample"):
        RowSample.from_document({"sample": ""})
