from __future__ import annotations

import pickle
from collections import Counter
from unittest import mock

import datasketches as ds
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.distinct import Distinct, Repeats, expected_duplicates
from gristmill.validate.statistics.hashing import hash_numbers, mix

WORDS = st.lists(st.integers(0, 2**64 - 1), max_size=50)


def _hashes(words: list[int]) -> np.ndarray:
    return mix(np.array(words, dtype=np.uint64))


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
    words = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
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
    repeats = Repeats.of(_hashes(rows.tolist()))
    assert expected_duplicates(repeats.multiplicities(), 300) == pytest.approx(
        np.mean(drawn), rel=0.05
    )
    assert expected_duplicates(repeats.multiplicities(), len(rows)) == 20 * 29
    assert expected_duplicates({}, 10) == 0.0


@pytest.mark.parametrize("size", [0, 1, 5, 4096, 4097, 50_000])
def test_the_state_is_a_theta_sketch_that_datasketches_reads(size: int) -> None:
    made = Distinct.of(_hashes(list(range(size))))
    read = ds.compact_theta_sketch.deserialize(made.to_bytes())
    assert read.get_estimate() == made.count.value
    assert (read.get_lower_bound(2), read.get_upper_bound(2)) == (made.count.low, made.count.high)
    assert bytes(read.serialize()) == made.to_bytes() or size == 1
    assert made.count.low <= size <= made.count.high


def test_merging_keeps_the_smallest_hashes_and_agrees_with_datasketches() -> None:
    one, two = (
        Distinct.of(_hashes(list(range(*span)))) for span in ((0, 30_000), (20_000, 70_000))
    )
    union = ds.theta_union(12)
    for part in (one, two):
        union.update(ds.compact_theta_sketch.deserialize(part.to_bytes()))
    merged = one + two
    assert merged.to_bytes() == Distinct.of(_hashes(list(range(70_000)))).to_bytes()
    assert merged.count.value == pytest.approx(union.get_result().get_estimate(), rel=0.002)


def test_the_bounds_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        count = Distinct.of(rng.integers(0, 2**64, 20_000, dtype=np.uint64)).count
        held += count.low <= 20_000 <= count.high
    assert held >= 88


@given(
    st.lists(st.floats(-5, 5).map(round).map(float), unique=True, max_size=30), st.integers(0, 30)
)
@settings(max_examples=60, deadline=None)
def test_numbers_hashed_late_are_the_numbers_hashed_at_once(numbers: list[float], cut: int) -> None:
    data = np.unique(np.array(numbers))
    late = Distinct.of_numbers(data)
    assert late.count.value == len(data)
    at_once = Distinct.of(hash_numbers(data))
    assert late.to_bytes() == at_once.to_bytes()
    assert (Distinct.of_numbers(data[:cut]) + Distinct.of_numbers(data[cut:])).to_bytes() == (
        at_once.to_bytes()
    )


def test_sampled_rows_keep_all_their_repeats() -> None:
    rows = np.repeat(np.arange(100_000), 3).tolist()
    parts = [Repeats.of(_hashes(rows[start::3])) for start in range(3)]
    merged = parts[2] + (parts[0] + parts[1])
    assert set(merged.multiplicities()) == {3}
    assert merged.count.low <= 100_000 <= merged.count.high
    assert merged.to_bytes() == Repeats.of(_hashes(rows)).to_bytes()


ROWS = st.lists(st.integers(0, 60), max_size=80)


@given(ROWS, ROWS, ROWS)
@settings(max_examples=150, deadline=None)
def test_rows_beyond_those_kept_add_up_in_any_order(
    one: list[int], two: list[int], three: list[int]
) -> None:
    name = "gristmill.validate.statistics.distinct"
    with mock.patch(f"{name}._MOST_ROWS", 16), mock.patch(f"{name}._ENOUGH", 18.0):
        first, second, third = (Repeats.of(_hashes(rows)) for rows in (one, two, three))
        expected = Repeats.of(_hashes(one + two + three)).to_bytes()
        assert ((first + second) + third).to_bytes() == expected
        assert (third + (second + first)).to_bytes() == expected


@pytest.mark.parametrize("times", [1, 2])
def test_repeats_travel_whole(times: int) -> None:
    repeats = Repeats.of(_hashes(list(range(50)) * times))
    packed = pickle.dumps(repeats)
    assert pickle.loads(packed).to_bytes() == repeats.to_bytes()
    assert len(packed) < 16 * 50 or times > 1


@pytest.mark.parametrize("data", [b"", b"nonsense and more", b"GRR2" + bytes(9)])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        Distinct.from_bytes(data)
    with pytest.raises(ValueError, match="expected"):
        Repeats.from_bytes(data)


def test_a_thinned_count_is_that_of_a_smaller_sketch_and_adds_up() -> None:
    hashes = np.random.default_rng(5).integers(0, 2**64, 3000, dtype=np.uint64)
    one, two = (Distinct.of(part).thinned(64) for part in (hashes[:2000], hashes[1000:]))
    total = (one + two).thinned(64)
    assert total.to_bytes() == Distinct.of(hashes).thinned(64).to_bytes()
    assert total.count.low <= 3000 <= total.count.high
    assert len(total.to_bytes()) < 600
    few = Distinct.of(hashes[:60])
    assert few.thinned(64).count == few.count
