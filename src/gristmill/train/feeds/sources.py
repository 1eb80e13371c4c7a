"""Whatever users hand in as data, as a dataset."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, TensorDataset

from gristmill.core.errors import UsageError
from gristmill.train.examples import Examples
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.collated import Collated
from gristmill.train.feeds.dataset import Dataset
from gristmill.train.feeds.examples_dataset import ExamplesDataset

DataLike: TypeAlias = Any
"""A `Dataset`, `Examples`, a tuple `(input, ..., targets)` of arrays, or a torch dataset."""


def as_dataset(data: DataLike) -> Dataset:
    """Return data as a dataset.

    Args:
        data: a `Dataset`; `Examples`; a tuple of arrays, the last being the targets, each in a form
            that `as_array` takes; or a list, or map-style torch dataset, of (input, ..., target).

    Raises:
        UsageError: it is none of these.
        TrainError: it is one that cannot be used.
    """
    if isinstance(data, Examples):
        return ExamplesDataset(data)
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) > 1:
        return Arrays(*data[:-1], targets=data[-1])
    if isinstance(data, IterableDataset):
        raise UsageError(
            "an IterableDataset cannot be read at any step, so a run could not resume",
            fix="write the rows to arrays (.npy files need no memory), or use a map-style dataset",
        )
    if isinstance(data, TensorDataset):
        return as_dataset(data.tensors)
    if isinstance(data, list) or (isinstance(data, TorchDataset) and hasattr(data, "__len__")):
        return Collated(data)
    raise UsageError(
        "expected a Dataset, Examples, a tuple (inputs, targets) of arrays or a torch Dataset, "
        f"found {type(data).__qualname__}",
        fix="for a table: Arrays.from_table(table, inputs=[...], targets=...)",
    )
