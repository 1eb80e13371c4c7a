"""Columns of tensors as the figures that are watched of them: their means, and their lengths.

The same that `serve/watch/served_rows` takes of what is served: a picture that is darker, a text
of tokens that is longer.
"""

from __future__ import annotations

import numpy as np
import polars as pl


def with_tensor_figures(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with numbers in place of its tensors.

    A column of arrays becomes `NAME.mean`; one of lists of different lengths `NAME.length`, too.
    Cells without elements, or of something else than numbers, have no mean.

    Args:
        table: columns of any types.
    """
    columns: list[pl.Series] = []
    for column in table.iter_columns():
        if column.dtype == pl.List:
            columns += _of_lists(column)
        elif column.dtype == pl.Array:
            columns += _mean(column)
        else:
            columns.append(column)
    return pl.DataFrame(columns)


def _of_lists(column: pl.Series) -> list[pl.Series]:
    lengths = column.list.len()
    differ = lengths.n_unique() - (lengths.null_count() > 0) > 1
    counted = [lengths.cast(pl.Int64).alias(f"{column.name}.length")] if differ else []
    return counted + _mean(column)


def _mean(column: pl.Series) -> list[pl.Series]:
    name = f"{column.name}.mean"
    if not _element(column.dtype).is_numeric():
        return []
    if column.dtype == pl.Array and not column.null_count():
        array = column.to_numpy()
        if array.size:
            means = array.reshape(len(array), -1).mean(axis=1, dtype=np.float64)
            return [pl.Series(name, means)]
    return [pl.Series(name, list(map(_mean_of, column)), dtype=pl.Float64)]


def _mean_of(cell: pl.Series | None) -> float | None:
    while cell is not None and cell.dtype.is_nested():
        cell = cell.explode()
    elements = None if cell is None else cell.drop_nulls().to_numpy()
    return None if elements is None or not elements.size else float(elements.mean(dtype=np.float64))


def _element(dtype: pl.DataType) -> pl.DataType:
    """Return the type of a tensor's elements, however deep they lie."""
    while isinstance(dtype, pl.List | pl.Array):
        inner = dtype.inner
        dtype = inner if isinstance(inner, pl.DataType) else inner()
    return dtype
