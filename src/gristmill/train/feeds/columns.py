"""One array from whatever holds one column, or one tensor, of data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import TrainError, UsageError


def as_array(source: Any, name: str) -> NDArray[Any]:
    """Return data as an array of bools, integers or floats `[rows, ...]`, copied only if it must.

    Args:
        source: a NumPy array (memory-mapped ones stay so), a torch tensor, the path of a `.npy`
            file (which is memory-mapped), a Polars series, a pyarrow array, or nested lists. A
            column of lists must have lists of one length.
        name: what it is, for messages.

    Raises:
        UsageError: there is no such file.
        TrainError: it holds something else than numbers, or nulls, or lists of unequal length.
    """
    if isinstance(source, Tensor):
        array = _from_tensor(source)
    elif isinstance(source, str | os.PathLike):
        array = open_npy(Path(source))
    elif isinstance(source, pl.Series):
        array = _from_series(source, name)
    elif type(source).__module__.partition(".")[0] == "pyarrow":
        array = _from_series(pl.Series(source), name)
    else:
        array = _from_rows(source, name)
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise TrainError(
            f"expected numbers of shape [rows, ...], found {array.dtype}{list(array.shape)}",
            where=name,
        )
    return array


def open_npy(path: Path) -> NDArray[Any]:
    """Return the array of a `.npy` file, memory-mapped.

    Raises:
        UsageError: there is no such file.
        TrainError: it is not a `.npy` file of plain numbers.
    """
    try:
        opened: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except (ValueError, EOFError, OSError) as error:
        raise TrainError(f"expected a .npy file of numbers: {error}", where=str(path)) from error
    if not isinstance(opened, np.ndarray):
        raise TrainError("expected a .npy file, found an archive of several", where=str(path))
    return opened


def _from_tensor(tensor: Tensor) -> NDArray[Any]:
    plain = tensor.detach().cpu()
    array: NDArray[Any] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def _from_rows(rows: Any, name: str) -> NDArray[Any]:
    try:
        # Keeps a memory-mapped array what it is, which `asarray` does not.
        return np.asanyarray(rows)
    except ValueError as error:
        raise TrainError(f"rows are not of one shape: {error}", where=name) from error


def _from_series(series: pl.Series, name: str) -> NDArray[Any]:
    if series.null_count():
        row = int(series.is_null().arg_max() or 0)
        raise TrainError(
            f"row {row} is null", where=name, fix="fill the nulls, or leave such rows out"
        )
    if series.dtype == pl.List:
        widths = series.list.len().unique().sort().to_list()
        if len(widths) > 1:
            raise TrainError(
                f"lists are of {widths[0]} to {widths[-1]} items",
                where=name,
                fix="pad them to one length",
            )
        series = series.list.to_array(widths[0] if widths else 0)
    return series.to_numpy()
