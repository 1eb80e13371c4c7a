"""One pass over a table, partition by partition, into mergeable statistics."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.core.progress import task
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.validate.statistics.distinct import Repeats
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.hashing import hash_rows
from gristmill.validate.statistics.statistics import Statistics

PARTITION_ROWS = 1 << 18


def profile(
    data: TableLike, *, name: str | None = None, partition_rows: int = PARTITION_ROWS
) -> Statistics:
    """Profile a table: figures with error bounds for every column but `row_id`.

    Args:
        data: a data frame of any kind, or a path.
        name: what the statistics are called; "data" when not given.
        partition_rows: how many rows are taken at a time; the figures do not depend on it, beyond
            rounding and the bounds they state.

    Raises:
        DataError: the data cannot be read.
        UsageError: `partition_rows` is less than 1.
    """
    if partition_rows < 1:
        raise UsageError(f"expected partition_rows of at least 1, found {partition_rows}")
    frame = as_table(data).drop(ROW_ID)
    total: Statistics | None = None
    with task("profile", frame.height, "rows") as work:
        for part in _partitions(frame, partition_rows):
            state = profile_partition(part, name or "data")
            total = state if total is None else total + state
            work.advance(part.height)
    return total if total is not None else profile_partition(frame, name or "data")


def profile_partition(frame: pl.DataFrame, name: str) -> Statistics:
    """Compute the state of one partition: a Polars frame without row ids."""
    features = {column.name: Feature.of(column) for column in frame.iter_columns()}
    return Statistics(name, frame.height, features, Repeats.of(hash_rows(frame)))


def _partitions(frame: pl.DataFrame, rows: int) -> Iterator[pl.DataFrame]:
    return frame.iter_slices(rows)
