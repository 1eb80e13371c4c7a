"""Whatever users hand in as data, as a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from gristmill.core.errors import UsageError
from gristmill.data.table import as_table
from gristmill.train.examples import Examples
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.collated import Collated
from gristmill.train.feeds.dataset import Dataset
from gristmill.train.feeds.examples_dataset import ExamplesDataset

DataLike: TypeAlias = Any
"""What `as_dataset` takes."""

_NAMES = ("inputs", "targets", "weights", "ids")


def as_dataset(data: DataLike) -> Dataset:
    """Return data as a dataset.

    Args:
        data: one of

            - a `Dataset`: `Arrays`, `TokenWindows`, `Images`, or an object of the user's with
              `len()` and `take(rows)`;
            - `Examples`;
            - a tuple of arrays `(input, ..., targets)`, each in a form that `as_array` takes;
            - a mapping of arrays `inputs` (a tuple where there are several), `targets`, `weights`
              and `ids`, of which the first must be there;
            - any data frame, or the path of one, with columns `inputs`, `targets` and, if rows
              differ in weight, `weights`;
            - a list of `(input, ..., target)`, or a map-style torch dataset of such.

    Raises:
        UsageError: it is none of these.
        TrainError: it is one that cannot be used.
        DataError: the table cannot be read.
    """
    if isinstance(data, Examples):
        return ExamplesDataset(data)
    if isinstance(data, Mapping):
        return _of_mapping(data)
    if isinstance(data, tuple) and len(data) > 1:
        return Arrays(*data[:-1], targets=data[-1])
    if isinstance(data, TensorDataset):
        return as_dataset(data.tensors)
    if isinstance(data, str | Path | pl.LazyFrame) or hasattr(data, "columns"):
        return _of_frame(as_table(data))
    if isinstance(data, np.ndarray | Tensor | pl.Series | bytes | tuple):
        raise _none_of_these(data)  # some of them have a `take` of another kind
    if isinstance(data, Dataset):
        return data
    return _of_items(data)


def _of_mapping(data: Mapping[str, Any]) -> Arrays:
    unknown = [name for name in data if name not in _NAMES]
    if unknown or "inputs" not in data:
        found = ", ".join(map(str, data)) or "none"
        raise UsageError(f"expected inputs and, if need be, targets, weights, ids, found {found}")
    inputs = data["inputs"]
    parts = inputs if isinstance(inputs, tuple) else (inputs,)
    return Arrays(*parts, **{name: data.get(name) for name in _NAMES[1:]})


def _of_frame(frame: pl.DataFrame) -> Arrays:
    if not {"inputs", "targets"} <= set(frame.columns):
        raise UsageError(
            "a table that is handed in as it is needs columns inputs and targets, found "
            f"{', '.join(frame.columns)}",
            fix="say which columns are which: Arrays.from_table(table, inputs=[...], targets=...)",
        )
    weights = "weights" if "weights" in frame.columns else None
    return Arrays.from_table(frame, "inputs", "targets", weights)


def _of_items(data: Any) -> Dataset:
    if isinstance(data, DataLoader):
        raise UsageError(
            "a DataLoader draws batches of its own, so a run could not resume",
            fix="hand in its dataset; batches are drawn by seed and batch_size",
        )
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return Collated(data)
    if isinstance(data, Iterable | IterableDataset):
        raise UsageError(
            f"{type(data).__qualname__} can only be read from its beginning, so a run could not "
            "resume",
            fix="write the rows to arrays (.npy files need no memory), or use a map-style dataset",
        )
    raise _none_of_these(data)


def _none_of_these(data: object) -> UsageError:
    return UsageError(
        "expected a Dataset, Examples, a tuple (inputs, targets) or a mapping of arrays, a table, "
        f"or a torch Dataset, found {type(data).__qualname__}",
        fix="for arrays: data=(inputs, targets)",
    )
