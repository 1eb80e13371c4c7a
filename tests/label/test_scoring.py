from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gristmill.label.scoring import Scoring


def _one_sided(classes: int, seed: int) -> NDArray[np.float64]:
    """Log emissions of a source that votes for two classes, smoothed: float64[k + 1, k]."""
    rng = np.random.default_rng(seed)
    counts = np.full((classes + 1, classes), 0.5)
    counts[np.arange(classes), np.arange(classes)] = 3.0
    counts[[0, classes // 2, classes]] = rng.random((3, classes)) * 100
    return np.asarray(np.log(counts / counts.sum(axis=0)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.booleans())
def test_the_table_comes_back(seed: int, classes: int, one_sided: bool) -> None:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(3, classes + 1, classes))
    if one_sided:
        table[1] = _one_sided(classes, seed)
    made = Scoring.of(rng.normal(size=classes), table)
    np.testing.assert_allclose(made.table, table, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(made.table[[0, 2]], table[[0, 2]])
    for vote in range(-1, classes):
        np.testing.assert_array_equal(made.added([vote] * 3), made.table[:, vote])
    again = msgspec.json.decode(msgspec.json.encode(made, order="sorted"), type=Scoring)
    assert again == made
    np.testing.assert_array_equal(again.table, made.table)


def test_votes_never_given_take_next_to_no_room() -> None:
    table = np.array([_one_sided(100, seed) for seed in range(4)])
    made = Scoring.of(np.zeros(100), table)
    assert [source.told for source in made.sources] == [(0, 50)] * 4
    assert len(msgspec.json.encode(made)) < 0.1 * len(msgspec.json.encode(table.tolist()))


def test_figures_that_are_not_finite_are_kept() -> None:
    table = np.zeros((1, 7, 6))
    table[0, 2] = -np.inf
    np.testing.assert_array_equal(Scoring.of(np.zeros(6), table).table, table)


def test_older_files_are_read() -> None:
    table = np.random.default_rng(0).random((2, 3, 2))
    old = msgspec.json.encode({"log_prior": [0.1, 0.2], "table": table.tolist()})
    read = msgspec.json.decode(old, type=Scoring)
    assert read == Scoring.of(np.array([0.1, 0.2]), table)
    assert (read.silent, read.dense) == (None, None)
    np.testing.assert_array_equal(read.table, table)
    assert b'"table"' not in msgspec.json.encode(read)


def test_some_of_the_sources() -> None:
    table = np.random.default_rng(0).random((3, 3, 2))
    made = Scoring.of(np.array([0.1, 0.2]), table, np.array([0.25, 0.75]))
    some = made.of_sources([2, 0])
    np.testing.assert_array_equal(some.table, table[[2, 0]])
    assert (some.log_prior, some.silent) == ((0.1, 0.2), (0.25, 0.75))


def test_no_sources() -> None:
    made = Scoring.of(np.zeros(2), np.empty((0, 3, 2)))
    assert made.table.shape == (0, 3, 2)
    assert made.added([]).shape == (0, 2)


def test_a_vote_for_each_source_is_needed() -> None:
    with pytest.raises(ValueError, match="zip"):
        Scoring.of(np.zeros(2), np.zeros((2, 3, 2))).added([0])
