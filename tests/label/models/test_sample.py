from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.label.models import sample
from gristmill.label.models.sample import VoteSample, cap, hash_ids
from gristmill.label.votes import Votes

MATRICES = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 40), st.just(3)), elements=st.integers(-1, 1)
)


def votes_of(matrix: NDArray[np.int8], start: int = 0) -> Votes:
    ids = list(range(start, start + len(matrix)))
    return Votes.from_matrix(matrix, classes=2, row_ids=ids)


def told(found: VoteSample) -> Counter[tuple[int, ...]]:
    patterns, rows = found.weighted()
    return Counter(
        {tuple(line): count for line, count in zip(patterns.votes.tolist(), rows, strict=True)}
    )


@given(MATRICES)
def test_few_patterns_are_counted_exactly(matrix: NDArray[np.int8]) -> None:
    found = VoteSample.of(votes_of(matrix))
    assert found.exact
    assert told(found) == Counter(map(tuple, matrix.tolist()))


@given(MATRICES, st.data())
def test_parts_in_any_order_merge_to_the_whole(
    matrix: NDArray[np.int8], data: st.DataObject
) -> None:
    most = data.draw(st.sampled_from([3, 8, 100]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "cap", lambda *_: most)
        cut = data.draw(st.integers(0, len(matrix)))
        whole = VoteSample.of(votes_of(matrix))
        parts = VoteSample.of(votes_of(matrix[:cut])), VoteSample.of(votes_of(matrix[cut:], cut))
        for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
            assert merged.rows == whole.rows
            assert merged.exact == whole.exact
            assert merged.exact == (len(np.unique(matrix, axis=0)) <= most)
            assert told(merged) == told(whole)
            np.testing.assert_array_equal(merged.keys, whole.keys)


def test_many_patterns_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "cap", lambda *_: 2000)
    rng = np.random.default_rng(0)
    matrix = rng.choice([-1, 0, 1], (20_000, 12), p=[0.5, 0.4, 0.1]).astype(np.int8)
    found = VoteSample.of(votes_of(matrix))
    assert not found.exact
    assert len(found.sampled) == 2000
    _, rows = found.weighted()
    assert rows.sum() == pytest.approx(20_000)
    shares = [(found.sampled == vote).mean() for vote in (-1, 0, 1)]
    np.testing.assert_allclose(shares, [0.5, 0.4, 0.1], atol=0.01)


def test_fewer_rows_are_kept_where_rows_are_long() -> None:
    assert cap(10, 2) == 65_536
    assert cap(100, 10) == 16_777
    assert cap(1000, 300) == 8_192


def test_ids_of_both_kinds_have_hashes_that_spread() -> None:
    for ids in (pl.Series(range(-500, 500)), pl.Series(map(str, range(1000)))):
        hashes = hash_ids(ids)
        assert len(set(hashes.tolist())) == 1000
        assert (hashes < np.uint64(2**63)).mean() == pytest.approx(0.5, abs=0.06)
