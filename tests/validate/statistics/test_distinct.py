from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.distinct import Distinct, Repeats, expected_duplicates

WORDS = st.lists(st.integers(0, 2**64 - 1), max_size=50)


def _hashes(words: list[int]) -> np.ndarray:
    return np.array(words, dtype=np.uint64)


@given(WORDS, WORDS)
@settings(max_examples=100, deadline=None)
def test_small_sets_are_counted_exactly_in_any_split(one: list[int], two: list[int]) -> None:
    merged = Distinct.of(_hashes(one)) + Distinct.of(_hashes(two))
    assert merged.count.exact
    assert merged.count.value == len({*one, *two})
    assert merged.to_bytes() == Distinct.of(_hashes(two + one)).to_bytes()


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_repeats_count_how_often_each_row_occurs(rows: list[int], cut: int) -> None:
    merged = Repeats.of(_hashes(rows[:cut])) + Repeats.of(_hashes(rows[cut:]))
    times = Counter(Counter(rows).values())
    assert merged.multiplicities() == {n: float(times[n]) for n in sorted(times)}
    assert merged.to_bytes() == Repeats.of(_hashes(rows)).to_bytes()
    assert Repeats.from_bytes(merged.to_bytes()).multiplicities() == merged.multiplicities()


def test_large_sets_lie_within_their_bounds_whatever_the_order_of_merging() -> None:
    words = np.random.default_rng(0).integers(0, 2**63, 100_000).astype(np.uint64)
    one, two, three = (Distinct.of(part) for part in np.array_split(words, 3))
    merged = (one + two) + three
    assert merged.to_bytes() == (three + (two + one)).to_bytes() == Distinct.of(words).to_bytes()
    assert merged.count.low <= 100_000 <= merged.count.high
    assert not merged.count.exact
    assert Distinct.from_bytes(merged.to_bytes()).count == merged.count


def test_expected_duplicates_agree_with_drawing_samples() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.arange(900), np.repeat(np.arange(900, 920), 30)])
    drawn = [300 - len(np.unique(rng.permutation(rows)[:300])) for _ in range(200)]
    repeats = Repeats.of(rows.astype(np.uint64))
    assert expected_duplicates(repeats.multiplicities(), 300) == pytest.approx(
        np.mean(drawn), rel=0.05
    )
    assert expected_duplicates(repeats.multiplicities(), len(rows)) == 20 * 29
    assert expected_duplicates({}, 10) == 0.0
