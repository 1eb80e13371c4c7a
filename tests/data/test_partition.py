from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.data.partition import partitions, table_fingerprint


@given(st.integers(0, 30), st.integers(1, 9))
def test_partitions_cover_the_table(n, rows):
    frame = pl.DataFrame({"a": range(n)}, schema={"a": pl.Int64})
    parts = partitions(frame, rows)
    assert [i for part in parts for i in part.frame["a"]] == list(range(n))
    assert [part.start for part in parts] == list(range(0, n, rows))
    assert [part.index for part in parts] == list(range(len(parts)))
    assert all(part.rows == rows for part in parts[:-1])


def test_appended_rows_leave_full_partitions_as_they_were():
    frame = pl.DataFrame({"a": range(25)})
    before, after = partitions(frame[:22], 10), partitions(frame, 10)
    assert [p.fingerprint for p in before[:2]] == [p.fingerprint for p in after[:2]]
    assert before[2].fingerprint != after[2].fingerprint


def test_an_edit_changes_one_fingerprint():
    frame = pl.DataFrame({"a": range(30)})
    edited = frame.with_columns(pl.when(a=17).then(-1).otherwise("a").alias("a"))
    pairs = zip(partitions(frame, 10), partitions(edited, 10), strict=True)
    assert [one.fingerprint == other.fingerprint for one, other in pairs] == [True, False, True]


def test_table_fingerprint_knows_the_order():
    parts = partitions(pl.DataFrame({"a": range(4)}), 2)
    assert table_fingerprint(parts) != table_fingerprint(reversed(parts))
    assert table_fingerprint(parts) == table_fingerprint(list(parts))


def test_at_least_one_row():
    with pytest.raises(UsageError, match="expected at least 1 row per partition, found 0"):
        partitions(pl.DataFrame(), 0)
