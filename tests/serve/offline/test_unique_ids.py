"""Repeated ids are found whatever their order, and no others."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.serve.offline.unique_ids import check_unique

IDS = st.lists(st.integers(-9, 9)) | st.lists(st.text(max_size=2))


@settings(deadline=None)
@given(IDS, st.integers(1, 4), st.booleans())
def test_as_a_set_would(ids: list[int] | list[str], size: int, rising: bool) -> None:
    values = sorted(ids) if rising else ids
    parts = [pl.Series(values[at : at + size]) for at in range(0, len(values), size)]
    if len(set(values)) == len(values):
        check_unique(lambda: iter(parts))
        return
    with pytest.raises(DataError, match=r"column 'row_id' has value .* more than once"):
        check_unique(lambda: iter(parts))


def test_ids_that_rise_are_read_once() -> None:
    reads = []

    def read():  # type: ignore[no-untyped-def]
        reads.append(1)
        yield from (pl.Series([1, 2]), pl.Series([], dtype=pl.Int64), pl.Series([5]))

    check_unique(read)
    assert len(reads) == 1
