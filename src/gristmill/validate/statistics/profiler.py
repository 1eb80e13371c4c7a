"""One pass over a table, partition by partition, into mergeable statistics."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.core.progress import task
from gristmill.data.stream import TableStream, open_stream
from gristmill.data.table import ROW_ID, TableLike
from gristmill.validate.kinds import KINDS, Kind
from gristmill.validate.statistics.column import profile_column
from gristmill.validate.statistics.cross_features import CrossFeatures
from gristmill.validate.statistics.distinct import Repeats
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.hashing import hash_rows
from gristmill.validate.statistics.merge_tree import MergeTree
from gristmill.validate.statistics.null_patterns import NullPatterns
from gristmill.validate.statistics.row_sample import SAMPLE_ROWS, RowSample
from gristmill.validate.statistics.slicing import Slicer, Spec
from gristmill.validate.statistics.statistics import Statistics
from gristmill.validate.statistics.weights import WeightedFigures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

PARTITION_ROWS = 1 << 18
_PART_BYTES = 48 << 20


def profile(
    data: TableLike | Sequence[str | Path],
    *,
    name: str | None = None,
    partition_rows: int = PARTITION_ROWS,
    weight: str | None = None,
    slices: Sequence[Spec] | None = None,
    cross_features: bool = False,
    sample_rows: int = SAMPLE_ROWS,
    kinds: Mapping[str, str] | None = None,
) -> Statistics:
    """Profile a table: figures with error bounds for every column but `row_id`.

    Args:
        data: a data frame of any kind, a path, a pattern of paths, or several of them.
        name: what the statistics are called; "data" when not given.
        partition_rows: how many rows are taken at a time, at most; the figures do not depend on
            it, beyond rounding and the bounds they state.
        weight: the column that weighs the rows; every feature then has weighted figures, too.
        slices: parts of the table that get statistics of their own; see `Slicer`.
        cross_features: whether to add covariances and correlations of the numeric columns.
        sample_rows: how many rows the row sample holds; 0 for no sample.
        kinds: what columns are, where the data must not tell: name -> kind.

    Raises:
        DataError: the data cannot be read, or a weight is missing, negative or not finite.
        UsageError: `partition_rows` is less than 1 or `sample_rows` less than 0; there is no such
            column of weights, or a slice cannot be made.
    """
    if partition_rows < 1:
        raise UsageError(f"expected partition_rows of at least 1, found {partition_rows}")
    if sample_rows < 0:
        raise UsageError(f"expected sample_rows of at least 0, found {sample_rows}")
    stream = open_stream(data, kinds=kinds, rows=partition_rows)
    return profile_stream(
        stream, name=name, weight=weight, slices=slices, cross_features=cross_features,
        sample_rows=sample_rows,
    )  # fmt: skip


def profile_stream(
    stream: TableStream,
    *,
    name: str | None = None,
    weight: str | None = None,
    slices: Sequence[Spec] | None = None,
    cross_features: bool = False,
    sample_rows: int = SAMPLE_ROWS,
) -> Statistics:
    """Profile an open stream as `profile` does; what it mended and set aside is then in it.

    Raises:
        DataError: a weight is missing, negative or not finite.
        UsageError: there is no such column of weights, or a slice cannot be made.
    """
    if weight is not None and weight not in stream.columns:
        raise UsageError(f"expected a column of weights, found no column {weight!r}")
    slicer = Slicer(slices) if slices else None
    tree = MergeTree[Statistics](operator.add)
    with task("profile", None, "rows") as work:
        for part in _bounded(stream.parts()):
            state = profile_partition(
                part, name or "data", kinds=stream.kinds, weight=weight, slicer=slicer,
                cross_features=cross_features, sample_rows=sample_rows,
            )  # fmt: skip
            tree.push(state)
            work.advance(part.height)
    total = tree.total()
    if total is not None:
        return total
    empty = pl.DataFrame(schema=dict.fromkeys(stream.columns, pl.String))
    return profile_partition(empty, name or "data")


def profile_partition(
    frame: pl.DataFrame,
    name: str,
    *,
    kinds: Mapping[str, str] | None = None,
    weight: str | None = None,
    slicer: Slicer | None = None,
    cross_features: bool = False,
    sample_rows: int = SAMPLE_ROWS,
) -> Statistics:
    """Compute the state of one partition: a Polars frame; row ids are left out.

    The arguments are those of `profile`; `slicer` goes from one partition to the next.
    """
    body = frame.drop(ROW_ID, strict=False)
    features: dict[str, Feature] = {}
    columns: dict[str, pl.Series] = {}
    words: dict[str, Words] = {}
    for column in body.iter_columns():
        found = profile_column(column, _kind((kinds or {}).get(column.name)))
        features[column.name] = found.feature
        columns[column.name] = found.column.alias(column.name)
        if found.words is not None:
            words[column.name] = found.words
    plain = pl.DataFrame(columns) if columns else body
    if weight is not None:
        features = _weighed(features, plain, weight)
    rows = hash_rows(plain, words)
    ids = [frame[ROW_ID]] if ROW_ID in frame.columns else []
    cut = pl.DataFrame([*ids, *plain.get_columns()]) if slicer else plain
    return Statistics(
        name=name,
        rows=frame.height,
        features=features,
        repeats=Repeats.of(rows),
        sample=RowSample.of(plain, rows, sample_rows) if sample_rows else None,
        nulls=NullPatterns.of(plain),
        pairs=CrossFeatures.of(plain) if cross_features else None,
        slices=_sliced(cut, slicer, weight) if slicer else {},
        weight=weight,
    )


def _weighed(features: dict[str, Feature], frame: pl.DataFrame, weight: str) -> dict[str, Feature]:
    weights = frame[weight]
    return {
        name: replace(feature, weighted=WeightedFigures.of(frame[name], weights))
        for name, feature in features.items()
    }


def _sliced(frame: pl.DataFrame, slicer: Slicer, weight: str | None) -> dict[str, Statistics]:
    return {
        name: profile_partition(part, name, weight=weight, sample_rows=0)
        for name, part in slicer.parts(frame)
    }


def _kind(kind: str | None) -> Kind | None:
    return next((known for known in KINDS if known == kind), None)


def _bounded(parts: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Cut parts of very long cells or very many columns, so that memory stays bounded."""
    for part in parts:
        pieces = int(part.estimated_size() // _PART_BYTES) + 1
        yield from part.iter_slices(max(1, -(-part.height // pieces)))
