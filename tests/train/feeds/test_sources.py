from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from gristmill.core.errors import UsageError
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.collated import Collated
from gristmill.train.feeds.examples_dataset import ExamplesDataset
from gristmill.train.feeds.sources import as_dataset


class Stream(IterableDataset):
    def __iter__(self):
        yield 1


def test_a_dataset_is_a_dataset():
    dataset = Arrays(np.arange(3))
    assert as_dataset(dataset) is dataset


def test_examples(examples):
    assert isinstance(as_dataset(examples), ExamplesDataset)


@pytest.mark.parametrize("pack", [tuple, lambda parts: TensorDataset(*parts)])
def test_arrays_of_which_the_last_are_the_targets(pack):
    dataset = as_dataset(pack([torch.arange(4.0), torch.ones(4, 2), torch.arange(4)]))
    batch = dataset.take(np.array([3, 1]))
    assert [each.tolist() for each in batch.inputs] == [[3, 1], [[1, 1], [1, 1]]]
    assert batch.targets.tolist() == [3, 1]


def test_items_of_a_torch_dataset():
    class Pairs(Dataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index):
            return index, index**2

    dataset = as_dataset(Pairs())
    assert isinstance(dataset, Collated)
    assert dataset.take(np.array([2])).targets.tolist() == [4]


def test_a_list_is_of_items():
    batch = as_dataset([(1.0, 0), (2.0, 1)]).take(np.array([1, 0]))
    assert batch.inputs[0].tolist() == [2, 1]
    assert batch.inputs[0].dtype == torch.float32
    assert batch.targets.tolist() == [1, 0]


NONE_OF_THESE = (
    "expected a Dataset, Examples, a tuple (inputs, targets) of arrays or a torch Dataset, "
    "found {}\n  fix: for a table: Arrays.from_table(table, inputs=[...], targets=...)"
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pl.DataFrame({"a": [1]}), NONE_OF_THESE.format("DataFrame")),
        ((np.zeros(3),), NONE_OF_THESE.format("tuple")),
        (
            Stream(),
            "an IterableDataset cannot be read at any step, so a run could not resume\n"
            "  fix: write the rows to arrays (.npy files need no memory), or use a map-style "
            "dataset",
        ),
    ],
)
def test_what_is_no_data(data, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        as_dataset(data)
