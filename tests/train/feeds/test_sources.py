from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from gristmill.core.errors import TrainError, UsageError
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


def test_a_mapping_names_its_arrays():
    data = {"inputs": (np.ones(3), np.zeros((3, 2))), "targets": [1, 2, 3], "weights": [1, 0, 2]}
    batch = as_dataset(data).take(np.array([1, 0]))
    assert [list(each.shape) for each in batch.inputs] == [[2], [2, 2]]
    assert (batch.targets.tolist(), batch.weights.tolist()) == ([3, 1], [2, 1])
    assert as_dataset({"inputs": np.ones(3)}).take(np.array([0])).targets is None


SOFT = pl.DataFrame(
    {"row_id": [7, 3], "inputs": [[1.0, 2.0], [3.0, 4.0]], "targets": [[0.2, 0.8], [1.0, 0.0]]}
)


@pytest.mark.parametrize(
    "form",
    [lambda frame: frame, pl.DataFrame.lazy, pl.DataFrame.to_arrow, pl.DataFrame.to_pandas],
    ids=["polars", "lazy", "arrow", "pandas"],
)
def test_a_table_of_soft_labels_and_weights(form):
    if form is pl.DataFrame.to_pandas:
        pytest.importorskip("pandas")
    batch = as_dataset(form(SOFT.with_columns(weights=pl.Series([0.5, 2.0])))).take(np.arange(2))
    assert batch.inputs[0].tolist() == [[3, 4], [1, 2]]  # rows count in the order of their ids
    assert batch.targets.tolist() == [[1, 0], [pytest.approx(0.2), pytest.approx(0.8)]]
    assert batch.weights.tolist() == [2, 0.5]


def test_a_table_in_a_file(tmp_path):
    SOFT.write_parquet(tmp_path / "rows.parquet")
    for path in (tmp_path / "rows.parquet", str(tmp_path / "rows.parquet")):
        assert as_dataset(path).take(np.arange(1)).inputs[0].tolist() == [[3, 4]]


def test_an_object_of_the_users_that_is_indexed():
    class Indexed:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int):
            return np.array([index, 2.0]), index

    batch = as_dataset(Indexed()).take(np.array([1]))
    assert batch.inputs[0].tolist() == [[1, 2]]
    assert batch.targets.tolist() == [1]


def test_items_whose_input_is_a_list():
    message = (
        "the inputs of a batch are tensors, found list\n"
        "  fix: make each input of a row one array or tensor"
    )
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        as_dataset([([1.0, 2.0], 0)]).take(np.array([0]))


def none_of_these(found: str) -> str:
    return (
        "expected a Dataset, Examples, a tuple (inputs, targets) or a mapping of arrays, a table, "
        f"or a torch Dataset, found {found}\n  fix: for arrays: data=(inputs, targets)"
    )


ONLY_ONCE = (
    "{} can only be read from its beginning, so a run could not resume\n"
    "  fix: write the rows to arrays (.npy files need no memory), or use a map-style dataset"
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            pl.DataFrame({"a": [1]}),
            "a table that is handed in as it is needs columns inputs and targets, found row_id, a\n"
            "  fix: say which columns are which: "
            "Arrays.from_table(table, inputs=[...], targets=...)",
        ),
        (
            {"input": 1},
            "expected inputs and, if need be, targets, weights, ids, found input",
        ),
        ((np.zeros(3),), none_of_these("tuple")),
        (np.zeros(3), none_of_these("ndarray")),
        (torch.zeros(3), none_of_these("Tensor")),
        (None, none_of_these("NoneType")),
        (5, none_of_these("int")),
        (Stream(), ONLY_ONCE.format("Stream")),
        (iter([1]), ONLY_ONCE.format("list_iterator")),
        (
            DataLoader([(1, 2)]),
            "a DataLoader draws batches of its own, so a run could not resume\n"
            "  fix: hand in its dataset; batches are drawn by seed and batch_size",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_data(data, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        as_dataset(data)
