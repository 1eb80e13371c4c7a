from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.frequent import MAX_EXACT, Frequent, FrequentValues, shorten
from gristmill.validate.statistics.hashing import hash_texts


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_few_values_are_counted_exactly_in_any_split(texts: list[str], cut: int) -> None:
    parts = [FrequentValues.of(Counter(part)) for part in (texts[:cut], texts[cut:])]
    merged = parts[0] + parts[1]
    assert merged.counts() == dict(Counter(texts))
    assert merged.total == len(texts)
    assert merged.to_bytes() == FrequentValues.of(Counter(texts)).to_bytes()
    assert FrequentValues.from_bytes(merged.to_bytes()).counts() == merged.counts()


def test_ties_are_ranked_by_value() -> None:
    made = FrequentValues.of({"b": 2, "a": 2, "c": 5})
    assert made.top(2) == [Frequent("c", 5, 5, 5), Frequent("a", 2, 2, 2)]


def test_many_values_keep_the_heavy_ones_within_bounds() -> None:
    rare = {f"rare{i}": 1 for i in range(4 * MAX_EXACT)}
    merged = FrequentValues.of(rare | {"heavy": 3000}) + FrequentValues.of(
        {"heavy": 2000, "b": 900}
    )
    assert not merged.exact
    assert merged.counts() is None
    top = merged.top(2)
    assert [item.value for item in top] == ["heavy", "b"]
    assert top[0].low <= 5000 <= top[0].high
    assert top[1].low <= 900 <= top[1].high
    assert merged.total == 4 * MAX_EXACT + 5900
    assert FrequentValues.from_bytes(merged.to_bytes()).to_bytes() == merged.to_bytes()


def test_long_texts_are_cut_but_told_apart() -> None:
    one, two = shorten("a" * 5000 + "1"), shorten("a" * 5000 + "2")
    assert len(one) == 256
    assert one != two
    assert shorten("short") == "short"


@given(st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_bounds_hold_for_every_value_of_random_partitions(seed: int, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    cells = np.minimum(rng.zipf(1.3, 20_000), 10**6)
    total = None
    for part in np.array_split(cells, pieces):
        values, counts = np.unique(part, return_counts=True)
        texts = pl.Series(values).cast(pl.String)
        made = FrequentValues.of_columns(texts, counts, hash_texts(texts))
        total = made if total is None else total + made
    assert total.total == len(cells)
    truth = Counter(str(value) for value in cells.tolist())
    top = total.top(50)
    assert all(each.low <= truth[each.value] <= each.high for each in top)
    assert {value for value, _ in truth.most_common(3)} <= {each.value for each in top}
    assert max(each.high - each.low for each in top) <= 0.0012 * len(cells)


def test_of_equal_counts_those_with_the_smallest_hashes_are_kept_whatever_the_order() -> None:
    texts = pl.Series([f"t{i}" for i in range(3 * MAX_EXACT)])
    ones = np.ones(len(texts), dtype=np.int64)
    order = np.random.default_rng(0).permutation(len(texts))
    one = FrequentValues.of_columns(texts, ones, hash_texts(texts))
    shuffled = texts.gather(order)
    two = FrequentValues.of_columns(shuffled, ones, hash_texts(shuffled))
    assert one.to_bytes() == two.to_bytes()
    assert one.top(1)[0].high >= 1


def test_foreign_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the bytes of frequent values"):
        FrequentValues.from_bytes(b"nonsense")
