"""Example rows: the text of a few rows, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID, TableLike, as_table


def text_columns(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> list[str]:
    """Return the columns to show: those asked for, else those of text, else all.

    Raises:
        LabelError: the table lacks a column.
    """
    there = [name for name in frame.columns if name != ROW_ID]
    if columns is None:
        texts = [name for name in there if frame.schema[name] == pl.String]
        return texts or there
    if isinstance(columns, str):
        raise LabelError(f"expected a list of columns, found the text {columns!r}")
    for name in columns:
        if name not in there:
            raise LabelError(f"the table has no column {name!r}; it has {', '.join(there)}")
    return list(columns)


def aligned(table: TableLike, row_ids: pl.Series) -> pl.DataFrame:
    """Return the rows of a table with these ids, in their order.

    Raises:
        LabelError: a row is missing, or the ids are of another kind.
    """
    frame = as_table(table)
    if frame[ROW_ID].dtype.is_integer() != row_ids.dtype.is_integer():
        raise LabelError(
            f"row ids of the table are {frame[ROW_ID].dtype}, those of the rows {row_ids.dtype}",
            fix="hand in the table that the functions were applied to",
        )
    if len(frame) == len(row_ids) and frame[ROW_ID].equals(row_ids, check_names=False):
        return frame
    wanted = pl.DataFrame({ROW_ID: row_ids.cast(frame[ROW_ID].dtype)})
    absent = wanted.join(frame.select(ROW_ID), on=ROW_ID, how="anti")
    if absent.height:
        raise LabelError(
            f"the table lacks {absent.height} of the {len(row_ids)} rows, "
            f"such as row {absent[ROW_ID][0]!r}",
            fix="hand in the table that the functions were applied to",
        )
    return wanted.join(frame, on=ROW_ID, how="left", maintain_order="left")


def example_rows(
    table: TableLike | None,
    ids: Sequence[int | str],
    columns: Sequence[str] | None,
    row_ids: pl.Series,
) -> pl.DataFrame:
    """Return `row_id` and the columns to show of some rows, each once, in the order of `ids`."""
    wanted = pl.Series(ROW_ID, list(dict.fromkeys(ids)), dtype=row_ids.dtype)
    if table is None:
        return pl.DataFrame([wanted])
    frame = as_table(table)
    return aligned(frame, wanted).select(ROW_ID, *text_columns(frame, columns))
