"""Columns of tensors and images: arrays, lists, JSON texts, files and their bytes.

Where a column says by its type that every cell fits, it is handed on as it lies in memory;
otherwise each cell is looked at, and the ones that don't fit are told apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import DataError
from gristmill.serve.offline.images import image_array
from gristmill.serve.runners.rows import Column, Ragged
from gristmill.store.signature import Field


class Tensors(NamedTuple):
    """A column of tensors.

    Attributes:
        column: one value a row; zeros, or nothing, where a cell is wrong.
        wrong: by row, what was expected and what was found.
    """

    column: Column
    wrong: dict[int, str]


def read_tensors(cells: pl.Series, field: Field, folder: Path) -> Tensors:
    """Read the column of a tensor or an image.

    Args:
        cells: arrays or lists of numbers; JSON texts of them; paths or bytes of images.
        field: what the signature says.
        folder: that paths of images are relative to.
    """
    whole = None if cells.null_count() else _whole(cells, field)
    if whole is None:
        return _one_by_one(cells, field, folder)
    values = whole.values if isinstance(whole, Ragged) else whole
    if _all_lengths_fit(whole, field) and _value_fault(values, field) is None:
        return Tensors(whole, {})
    faults = ((row, _fault(whole[row], field)) for row in range(len(whole)))
    return Tensors(whole, {row: fault for row, fault in faults if fault is not None})


def dtype_of(field: Field) -> np.dtype[Any]:
    """Return the type of the elements of a tensor or an image."""
    return np.dtype("uint8" if field.kind == "image" else field.dtype)


def _whole(cells: pl.Series, field: Field) -> NDArray[Any] | Ragged | None:
    """Return the whole column where its type, or the lengths of its lists, say that it fits."""
    dtype = dtype_of(field)
    if isinstance(cells.dtype, pl.Array) and not field.ragged:
        array = cells.to_numpy()
        return _cast(array, dtype) if array.shape[1:] == field.inner else None
    if not isinstance(cells.dtype, pl.List) or not _is_number(cells.dtype.inner):
        return None
    if len(field.inner) != (0 if field.ragged else 1):
        return None
    lengths = cells.list.len().to_numpy()
    flat = cells.filter(cells.list.len() > 0).explode()
    values = None if flat.null_count() else _cast(flat.to_numpy(), dtype)
    if values is None:
        return None
    if field.ragged:
        offsets = np.zeros(len(cells) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return Ragged(values, offsets)
    return values.reshape(-1, *field.inner) if (lengths == field.elements).all() else None


def _one_by_one(cells: pl.Series, field: Field, folder: Path) -> Tensors:
    dtype = dtype_of(field)
    nothing = np.zeros((0, *field.inner) if field.ragged else field.inner, dtype)
    rows, wrong = [], dict[int, str]()
    for row, cell in enumerate(cells):
        try:
            rows.append(_array(cell, field, folder))
        except DataError as error:
            wrong[row] = error.message
            rows.append(nothing)
    if field.ragged:
        return Tensors(Ragged.of(rows, like=nothing), wrong)
    return Tensors(np.stack(rows) if rows else np.zeros((0, *field.inner), dtype), wrong)


def _array(cell: Any, field: Field, folder: Path) -> NDArray[Any]:
    """Return a cell as the field's array.

    Raises:
        DataError: it is something else.
    """
    if field.kind == "image" and isinstance(cell, str | bytes):
        return image_array(folder / cell if isinstance(cell, str) else cell, field)
    try:
        found = np.asarray(_plain(cell))
    except (ValueError, TypeError, RecursionError, msgspec.DecodeError, OverflowError) as error:
        raise _other(cell, field) from error
    if found.size == 0:  # an empty list says nothing of its type
        found = found.astype(dtype_of(field))
    array = _cast(found, dtype_of(field))
    if array is None:
        raise _other(cell, field)
    if array.ndim == 1 and (found.size == 0 or array.size == field.elements) and field.inner:
        array = array.reshape((-1, *field.inner) if field.ragged else field.inner)
    if fault := _fault(array, field):
        raise DataError(fault)
    return array


def _plain(cell: object) -> object:
    if isinstance(cell, str):
        return msgspec.json.decode(cell, type=list[Any])
    return cell.to_list() if isinstance(cell, pl.Series) else cell


def _other(cell: object, field: Field) -> DataError:
    found = "nothing" if cell is None else repr(str(cell)[:60])
    return DataError(f"expected {described(field)}, found {found}")


def _fault(array: NDArray[Any], field: Field) -> str | None:
    """Return what is wrong with the tensor of one row, of the right type."""
    if array.ndim != len(field.shape or ()) or array.shape[field.ragged :] != field.inner:
        return f"expected {described(field)}, found shape {list(array.shape)}"
    if field.ragged and not len(array):
        return "expected at least one element, found none"
    if field.ragged and field.max_length is not None and len(array) > field.max_length:
        return f"expected at most {field.max_length} elements, found {len(array)}"
    return _value_fault(array, field)


def _all_lengths_fit(column: Column, field: Field) -> bool:
    """Say whether rows of free length have one element at least, and not too many."""
    if not isinstance(column, Ragged) or not len(column):
        return True
    longest = column.lengths.max()
    return bool(column.lengths.min()) and (field.max_length is None or longest <= field.max_length)


def _value_fault(array: NDArray[Any], field: Field) -> str | None:
    """Return what is wrong with numbers of the right type."""
    if not _all_finite(array):
        return "expected finite numbers, found others"
    if array.size and field.min is not None and array.min() < field.min:
        return f"expected numbers of at least {field.min:g}, found {array.min():g}"
    if array.size and field.max is not None and array.max() > field.max:
        return f"expected numbers of at most {field.max:g}, found {array.max():g}"
    return None


def described(field: Field) -> str:
    """Return what a cell must be, in words."""
    shape = ["any" if size is None else str(size) for size in field.shape or ()]
    what = "an image" if field.kind == "image" else f"a tensor {field.dtype}"
    return f"{what} of shape [{', '.join(shape)}]"


def _cast(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return numbers as another type of numbers, None where that would make others of them."""
    if array.dtype == dtype:
        return array
    same = array.dtype.kind == dtype.kind or (array.dtype.kind in "iu" and dtype.kind in "iuf")
    if array.dtype.kind not in "biuf" or not same:
        return None
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            return None
    with np.errstate(over="ignore"):  # what becomes infinite is told as such
        return array.astype(dtype)


def _is_number(dtype: object) -> bool:
    return isinstance(dtype, pl.DataType) and (dtype.is_numeric() or dtype == pl.Boolean)


def _all_finite(values: NDArray[Any]) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())
