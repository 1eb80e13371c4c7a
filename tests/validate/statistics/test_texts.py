from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.hashing import hash_texts
from gristmill.validate.statistics.texts import Texts


def _agrees(found: Texts, cells: list[str]) -> None:
    texts = found.texts.to_list()
    assert dict(zip(texts, found.counts.tolist(), strict=True)) == Counter(cells)
    assert found.words.tolist() == hash_texts(found.texts).tolist()
    assert found.row_words.tolist() == hash_texts(pl.Series(cells, dtype=pl.String)).tolist()
    assert found.sizes.tolist() == [len(text) for text in texts]
    assert found.byte_sizes.tolist() == [len(text.encode()) for text in texts]
    assert found.plain == all(text.isascii() for text in texts)


@given(st.lists(st.text(max_size=5), max_size=40))
@settings(max_examples=80, deadline=None)
def test_short_columns_are_counted_as_counter_counts(cells: list[str]) -> None:
    _agrees(Texts.of(pl.Series(cells, dtype=pl.String)), cells)


@pytest.mark.parametrize("different", [3, 20_000])
def test_long_columns_of_few_and_of_many_texts_are_counted_too(different: int) -> None:
    numbers = np.random.default_rng(0).integers(0, different, 10_000)
    cells = [f"tëxt {number}" for number in numbers.tolist()]
    _agrees(Texts.of(pl.Series(cells)), cells)


def test_a_long_column_of_texts_that_all_differ_is_counted_as_it_lies() -> None:
    cells = [f"tëxt {number}" for number in range(5_000, 0, -1)]
    found = Texts.of(pl.Series(cells))
    _agrees(found, cells)
    assert found.texts.to_list() == cells


def test_lengths_are_counted_over_all_rows() -> None:
    found = Texts.of(pl.Series(["a", "b", "a", "ccc"]))
    assert [part.tolist() for part in found.counted(found.sizes)] == [[1, 3], [3, 1]]
    assert found.count_where(found.texts == "a") == 2
