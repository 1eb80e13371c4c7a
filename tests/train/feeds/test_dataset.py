from __future__ import annotations

import numpy as np

from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.dataset import Dataset, Subset, row_lengths_of
from gristmill.train.feeds.examples_dataset import ExamplesDataset


def numbers(rows: int) -> Arrays:
    return Arrays(np.arange(rows))


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
