from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.label.augmenting.row_hashes import copy_id, copy_ids, row_words, uniform

MASK = 2**64 - 1


def slow_mix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_uniform_is_splitmix():
    # The first numbers of the published generator seeded with 0 and 1234567.
    words = np.array([0, 1234567], np.uint64)
    found = uniform(words, 3)
    expected = [
        [slow_mix((seed + step * 0x9E3779B97F4A7C15) & MASK) >> 11 for step in range(3)]
        for seed in (0, 1234567)
    ]
    np.testing.assert_array_equal(found, np.array(expected) * 2.0**-53)
    assert slow_mix(0) == 0xE220A8397B1DCDAF


def test_uniform_is_uniform():
    found = uniform(row_words(pl.Series(range(20_000)), 0), 2)
    assert found.min() >= 0
    assert found.max() < 1
    counts, _ = np.histogram(found, bins=10, range=(0, 1))
    np.testing.assert_allclose(counts / found.size, 0.1, atol=0.01)
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.02


@pytest.mark.parametrize("ids", [[3, -1, 2**62], ["a", "", "é"]])
def test_words_depend_on_id_and_seed_alone(ids):
    words = row_words(pl.Series(ids), 0)
    assert len(set(words.tolist())) == 3
    assert row_words(pl.Series(ids[::-1]), 0).tolist() == words[::-1].tolist()
    assert not set(row_words(pl.Series(ids), 1).tolist()) & set(words.tolist())


def test_copy_ids():
    numbers = pl.Series("row_id", range(1000))
    found = copy_ids(numbers, 5)
    assert found.name == "row_id"
    assert found.dtype == pl.Int64
    assert found.n_unique() == 5000
    assert found.min() >= 0
    assert found[5 * 7 + 2] == copy_id(7, 3)
    assert copy_ids(pl.Series("row_id", ["a", "b"]), 2).to_list() == ["a~1", "a~2", "b~1", "b~2"]
    assert copy_id("a", 12) == "a~12"
