from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.valency import Valency, elements

CELLS = st.lists(st.none() | st.lists(st.none() | st.lists(st.none() | st.integers(0, 9))))
NESTED = pl.List(pl.List(pl.Int64))


def _levels(cells: list[Any], depth: int) -> list[tuple[int, int, int, list[int]]]:
    """Missing, empty, values and lengths of each level, by plain loops."""
    found = []
    for _ in range(depth):
        lists = [cell for cell in cells if cell is not None]
        lengths = [len(cell) for cell in lists]
        found.append((len(cells) - len(lists), lengths.count(0), sum(lengths), sorted(lengths)))
        cells = [value for cell in lists for value in cell]
    return found


@given(CELLS, st.integers(0, 20))
@settings(max_examples=80, deadline=None)
def test_levels_are_those_of_plain_loops_in_any_split(cells: list[Any], cut: int) -> None:
    column = pl.Series("a", cells, dtype=NESTED)
    state = Valency.of(column[:cut]) + Valency.of(column[cut:])
    for level, (missing, empty, values, lengths) in zip(
        state.levels, _levels(cells, 2), strict=True
    ):
        assert (level.missing, level.empty, level.values) == (missing, empty, values)
        assert level.lists == level.lengths.n == len(lengths)
        assert [level.low, level.high] == ([lengths[0], lengths[-1]] if lengths else [None, None])
        if lengths:
            assert level.lengths.quantiles([0, 1]).tolist() == [lengths[0], lengths[-1]]
    assert state.to_document() == Valency.of(column).to_document()
    assert Valency.from_document(state.to_document()).to_document() == state.to_document()
    leaves = [v for cell in cells if cell for part in cell if part for v in part]
    assert elements(column).to_list() == leaves


def test_arrays_of_any_shape_are_lists_of_one_length() -> None:
    column = pl.Series("a", np.arange(24).reshape(2, 3, 4))
    state = Valency.of(column)
    assert state.depth == 2
    found = [(level.low, level.high, level.lists) for level in state.levels]
    assert found == [(3, 3, 2), (4, 4, 6)]
    assert elements(column).to_list() == list(range(24))


def test_a_column_whose_nesting_changes_is_told() -> None:
    flat, nested = pl.Series([[1], [2, 3]]), pl.Series([[[1]], None], dtype=NESTED)
    state = Valency.of(flat) + Valency.of(nested)
    assert state.depths == {1: 2, 2: 1}
    assert state.describe()["depths"] == {"1": 2, "2": 1}
    assert [level.lists for level in state.levels] == [3, 1]


def test_damaged_documents_are_refused() -> None:
    document = Valency.of(pl.Series([[1]])).to_document()
    with pytest.raises(ValueError, match="expected the keys"):
        Valency.from_document({**document, "extra": 1})
    with pytest.raises(ValueError, match="levels"):
        Valency.from_document({**document, "levels": "?"})
