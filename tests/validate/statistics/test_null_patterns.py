from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.null_patterns import MAX_PATTERNS, NullPatterns

ROWS = st.lists(st.tuples(*[st.sampled_from([None, 1])] * 4), max_size=40)
SCHEMA = dict.fromkeys("dbca", pl.Int64)


@given(ROWS, st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_patterns_are_those_of_a_loop_over_rows_in_any_split(
    rows: list[tuple[int | None, ...]], cut: int
) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    state = NullPatterns.of(frame[:cut]) + NullPatterns.of(frame[cut:])
    expected = Counter(
        tuple(sorted(name for name, cell in row.items() if cell is None))
        for row in frame.to_dicts()
    )
    assert state.patterns == dict(expected)
    assert state.exact
    assert state == NullPatterns.of(frame[cut:]) + NullPatterns.of(frame[:cut])
    assert NullPatterns.from_document(state.to_document()) == state
    together = state.co_missing(list("abcd"))
    for i, one in enumerate("abcd"):
        for j, two in enumerate("abcd"):
            both = frame.filter(pl.col(one).is_null() & pl.col(two).is_null()).height
            assert together[i, j] == both == state.missing_together(one, two)


def test_a_column_that_one_table_lacks_is_missing_in_its_rows() -> None:
    state = NullPatterns.of(pl.DataFrame({"a": [1, None]})) + NullPatterns.of(
        pl.DataFrame({"a": [1], "b": [2]})
    )
    assert state.patterns == {("b",): 1, ("a", "b"): 1, (): 1}


def test_beyond_the_cap_the_frequent_patterns_stay_and_the_rest_is_told() -> None:
    random = np.random.default_rng(0).random((3000, 12)) < 0.5
    random[:1000] = False
    frame = pl.DataFrame({f"c{i:02d}": np.ones(3000) for i in range(12)}).select(
        pl.when(~pl.Series(random[:, i])).then(pl.col(f"c{i:02d}")) for i in range(12)
    )
    state = NullPatterns.of(frame[:2000]) + NullPatterns.of(frame[2000:])
    assert len(state.patterns) == MAX_PATTERNS
    assert not state.exact
    assert 1000 <= state.patterns[()] <= int((~random.any(axis=1)).sum())
    assert sum(state.patterns.values()) + state.dropped == 3000


def test_wide_tables_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({f"c{i}": [None, i] if i % 3 else [i, i] for i in range(50)})
    whole = NullPatterns.of(frame)
    monkeypatch.setattr("gristmill.validate.statistics.null_patterns._BLOCK_CELLS", 7)
    assert NullPatterns.of(frame) == whole
    assert sorted(whole.patterns.values()) == [1, 1]


def test_damaged_documents_are_refused() -> None:
    document = NullPatterns.of(pl.DataFrame({"a": [None, 1]})).to_document()
    with pytest.raises(ValueError, match="beyond the 1 there are"):
        NullPatterns.from_document({**document, "patterns": [[[3], 1]]})
