from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.runs import count_values, merge_counts, merged_values

SMALL = st.lists(st.integers(-6, 6), max_size=60)
WIDE = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=60)


@given(SMALL | WIDE)
@settings(max_examples=150, deadline=None)
def test_values_are_counted_as_counter_counts(cells: list[int]) -> None:
    for dtype in (np.int64, np.float64):
        data = np.array(cells, dtype=dtype)
        values, counts = count_values(data)
        expected = sorted(Counter(data.tolist()).items())
        assert list(zip(values.tolist(), counts.tolist(), strict=True)) == expected
        assert values.dtype == dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64, np.int64])
def test_integers_at_the_ends_of_their_type_are_counted(dtype: type) -> None:
    ends = np.iinfo(dtype)
    data = np.array([ends.max, ends.max - 1, ends.max], dtype=dtype)
    assert [part.tolist() for part in count_values(data)] == [[ends.max - 1, ends.max], [1, 2]]
    both = np.array([ends.min, ends.max] * 200, dtype=dtype)
    assert [part.tolist() for part in count_values(both)] == [[ends.min, ends.max], [200, 200]]


def test_nans_are_one_value_at_the_end() -> None:
    values, counts = count_values(np.array([np.nan, 1.0, np.nan, np.inf]))
    assert values[:2].tolist() == [1.0, np.inf]
    assert np.isnan(values[2])
    assert counts.tolist() == [1, 1, 2]


@given(SMALL | WIDE, SMALL | WIDE)
@settings(max_examples=100, deadline=None)
def test_merged_counts_are_those_of_all_cells(one: list[int], two: list[int]) -> None:
    sides = [count_values(np.array(side, dtype=np.int64)) for side in (one, two)]
    values, counts = merge_counts(*(np.concatenate(part) for part in zip(*sides, strict=True)))
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == Counter(one + two)
    assert merged_values(sides[0][0], sides[1][0]).tolist() == sorted({*one, *two})
