from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.dataset import Dataset, Subset, row_lengths_of, split_dataset
from gristmill.train.feeds.examples_dataset import ExamplesDataset


def numbers(rows: int) -> Arrays:
    return Arrays(np.arange(rows))


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(1, 80), parts=st.integers(1, 80), seed=st.integers(0, 3))
def test_parts_hold_every_row_once(rows, parts, seed):
    if parts > rows:
        return
    found = split_dataset(numbers(rows), parts, seed)
    sizes = [len(part) for part in found]
    assert max(sizes) - min(sizes) <= 1
    held = [part.take(np.arange(len(part))).inputs[0].tolist() for part in found]
    assert sorted(chain.from_iterable(held)) == list(range(rows))
    again = split_dataset(numbers(rows), parts, seed)
    assert [part.positions.tolist() for part in again] == held


@pytest.mark.parametrize("parts", [0, 4])
def test_too_few_rows_for_the_parts(parts):
    message = f"^expected 1 to 3 parts of as many rows, found {parts}$"
    with pytest.raises(UsageError, match=message):
        split_dataset(numbers(3), parts, 0)


def test_a_subset_is_a_dataset(examples):
    whole = ExamplesDataset(examples)
    part = Subset(whole, np.array([5, 2, 9]))
    assert isinstance(part, Dataset)
    assert row_lengths_of(part).tolist() == whole.lengths[[5, 2, 9]].tolist()
    assert row_lengths_of(Subset(numbers(9), np.array([5]))) is None
    direct = whole.take(np.array([9, 5]))
    found = part.take(np.array([2, 0]))
    assert found.inputs[0].tolist() == direct.inputs[0].tolist()
    assert found.targets.tolist() == direct.targets.tolist()


def test_fingerprint_of_a_subset():
    found = {fingerprint(Subset(numbers(n), np.array(rows))) for n, rows in
             [(9, [1, 2]), (9, [2, 1]), (8, [1, 2])]}  # fmt: skip
    assert len(found) == 3
