from __future__ import annotations

import operator
import pickle
from collections.abc import Iterator
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import StepError
from gristmill.engine.inline import Inline
from gristmill.engine.merge_tree import MergeTree, added_up, aligned_runs, map_merge
from gristmill.validate import profile
from gristmill.validate.statistics.profiler import profile_partition


def _pair(one: str, two: str) -> str:
    return f"({one}{two})"


def _shape(states: list[str]) -> str:
    """The tree as it is told: the first 2**k on the left, 2**k the largest power below n."""
    if len(states) == 1:
        return states[0]
    half = 1
    while 2 * half < len(states):
        half *= 2
    return _pair(_shape(states[:half]), _shape(states[half:]))


@given(st.integers(1, 200), st.integers(1, 40), st.booleans())
def test_runs_of_any_number_of_workers_give_one_tree(
    parts: int, workers: int, is_known: bool
) -> None:
    states = [chr(0x4E00 + number) for number in range(parts)]
    tree = MergeTree(_pair)
    for length, run in aligned_runs(states if is_known else iter(states), workers):
        assert len(run) <= length
        total = added_up(run, _pair)
        assert total is not None
        tree.push(total, length)
    assert tree.total() == added_up(states, _pair) == _shape(states)


@given(st.integers(1, 500), st.integers(1, 16))
def test_runs_of_a_known_number_end_short(parts: int, workers: int) -> None:
    lengths = [length for length, _ in aligned_runs(range(parts), workers)]
    assert sum(lengths) == parts
    done = 0
    for length in lengths:
        assert length == 1 or 2 * length * workers <= parts - done
        done += length
    assert len(lengths) <= parts // 8 + 8 * workers


@pytest.mark.parametrize(
    ("parts", "workers", "runs"), [(200, 80, 100), (4_000, 800, 500), (200_000, 800, 3125)]
)
def test_few_parts_are_shared_out_among_many_workers(parts: int, workers: int, runs: int) -> None:
    lengths = [length for length, _ in aligned_runs(range(parts), workers)]
    assert len(lengths) == runs


@given(st.integers(1, 64), st.data())
def test_gaps_leave_all_other_places_as_they_are(parts: int, data: st.DataObject) -> None:
    states = [chr(0x4E00 + number) for number in range(parts)]
    gaps = data.draw(st.sets(st.integers(0, parts - 1), max_size=parts - 1))

    def shape(first: int, last: int) -> str:
        if last - first == 1:
            return "" if first in gaps else states[first]
        half = 1 << (last - first - 1).bit_length() - 1
        one, two = shape(first, first + half), shape(first + half, last)
        return _pair(one, two) if one and two else one or two

    tree = MergeTree(_pair)
    for number, state in enumerate(states):
        tree.push(None if number in gaps else state)
    assert tree.total() == shape(0, parts)


def test_a_tree_of_nothing_has_no_total() -> None:
    assert MergeTree(operator.add).total() is None
    assert list(aligned_runs([], 2)) == []


@pytest.mark.parametrize(("workers", "least"), [(1, 1), (2, 1), (16, 1), (17, 2), (1000, 64)])
def test_runs_grow_with_what_is_done_and_with_the_workers(workers: int, least: int) -> None:
    lengths = [length for length, _ in aligned_runs(iter(range(200_000 * least)), workers)]
    assert lengths[0] == least
    assert max(lengths) == 8 * least
    starts, small = 0, least
    for length, after in pairwise(lengths):
        assert starts % length == 0
        # The last run keeps others waiting for a sixteenth of the time so far, at most.
        assert length == small or 16 * workers * length <= starts
        starts += length
        assert after >= length or starts % (2 * after)


@given(
    st.lists(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6), min_size=1, max_size=9),
    st.integers(1, 4),
)
def test_statistics_have_the_same_bits_however_parts_are_shared_out(
    parts: list[list[float]], workers: int
) -> None:
    states = [profile_partition(pl.DataFrame({"x": part}), "data") for part in parts]
    whole = added_up(states, operator.add)
    tree = MergeTree(operator.add)
    for length, run in aligned_runs(states, workers):
        tree.push(pickle.loads(pickle.dumps(added_up(run, operator.add))), length)
    merged = tree.total()
    assert whole is not None
    assert merged is not None
    one, two = whole.features["x"].numbers, merged.features["x"].numbers
    assert one is not None
    assert two is not None
    assert one.figures() == two.figures()
    assert one.quantiles.to_bytes() == two.quantiles.to_bytes()


def test_sketches_travel_between_processes() -> None:
    frame = pl.DataFrame({"x": [number / 7 for number in range(40_000)]})
    statistics = profile(frame, partition_rows=15_000)
    sent = pickle.loads(pickle.dumps(statistics))
    before, after = (each.features["x"].numbers.quantiles for each in (statistics, sent))
    assert not before.exact
    assert after.to_bytes() == before.to_bytes()
    assert (after + after).to_bytes() == (before + before).to_bytes()


@given(st.integers(0, 600))
def test_an_engine_adds_up_in_the_same_tree(items: int) -> None:
    states = [chr(0x4E00 + number) for number in range(items)]
    assert map_merge(Inline(), str, _pair, states) == added_up(states, _pair)


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(5):
            taken.append(item)
            yield item

    def state(item: int) -> int:
        assert len(taken) <= item + 1
        return item

    assert map_merge(Inline(), state, operator.add, items()) == 10


def test_an_item_that_fails_ends_it() -> None:
    with pytest.raises(StepError, match="ZeroDivisionError"):
        map_merge(Inline(), lambda item: str(1 // (item - 3)), _pair, range(9))
