"""Tables: any data frame in, Polars inside, a row id on every row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from gristmill.core.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from narwhals.typing import IntoFrame

ROW_ID = "row_id"
"""Name of the column that identifies a row for good: int64 or string, unique, never null."""

TableLike: TypeAlias = Union["pl.DataFrame", "pl.LazyFrame", "IntoFrame", str, Path]
"""What users may hand in: a Polars, pandas, Arrow or other frame that narwhals knows, or a path."""


def as_table(data: TableLike) -> pl.DataFrame:
    """Return any data frame, or the file at a path, as a Polars frame with a `row_id` column.

    A frame without `row_id` gets one: int64, 0..n-1 in the order given.

    Raises:
        DataError: the data is of no known kind, its row ids are null or not unique, or the file
            cannot be read.
    """
    return with_row_id(to_polars(data))


def with_row_id(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with a checked `row_id` column, added in front where there was none."""
    import polars as pl

    if ROW_ID not in frame.columns:
        return frame.with_row_index(ROW_ID).with_columns(pl.col(ROW_ID).cast(pl.Int64))
    ids = frame[ROW_ID]
    if not (ids.dtype.is_integer() or ids.dtype == pl.String):
        raise DataError(f"column {ROW_ID!r} must be integer or string, found {ids.dtype}")
    if ids.null_count():
        first = int(ids.is_null().arg_max() or 0)
        raise DataError(
            f"column {ROW_ID!r} has {ids.null_count()} empty cells", where=f"row {first}"
        )
    if ids.n_unique() != len(ids):
        twin = ids.filter(ids.is_duplicated())[0]
        raise DataError(
            f"column {ROW_ID!r} has value {twin!r} more than once", fix="make ids unique"
        )
    return frame


def to_polars(data: TableLike) -> pl.DataFrame:
    """Return any data frame, or the file at a path, as a Polars frame with its own columns.

    Raises:
        DataError: the data is of no known kind, or the file cannot be read.
    """
    import narwhals as nw
    import polars as pl

    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if isinstance(data, str | Path):
        from gristmill.data.formats import read_table

        return read_table(data)
    try:
        frame = nw.from_native(data)
    except TypeError as error:
        kind = type(data).__qualname__
        raise DataError(f"expected a data frame or a path, found {kind}") from error
    eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    return eager.to_polars()
