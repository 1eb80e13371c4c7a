"""One pass over a table, partition by partition, into mergeable statistics."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.core.progress import task
from gristmill.data.stream import TableStream, open_stream
from gristmill.data.table import ROW_ID, TableLike
from gristmill.engine.current import chosen_engine
from gristmill.engine.merge_tree import MergeTree, added_up
from gristmill.validate.kinds import KINDS, Kind
from gristmill.validate.parts import FailedParts, map_runs
from gristmill.validate.skipped import OnError
from gristmill.validate.statistics.column import profile_column
from gristmill.validate.statistics.cross_features import CrossFeatures
from gristmill.validate.statistics.distinct import Repeats
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.hashing import hash_rows
from gristmill.validate.statistics.null_patterns import NullPatterns
from gristmill.validate.statistics.row_sample import SAMPLE_ROWS, RowSample
from gristmill.validate.statistics.slicing import Slicer, Spec
from gristmill.validate.statistics.statistics import Statistics
from gristmill.validate.statistics.weights import WeightedFigures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gristmill.data.file_part import FilePart
    from gristmill.engine.protocol import Engine

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
    engine: Engine | str | None = None,
    on_error: OnError = "raise",
) -> Statistics:
    """Profile a table: figures with error bounds for every column but `row_id`.

    On an engine, workers read and profile parts, and add up the states of neighbours. Of a frame,
    or of Parquet and Arrow files whose columns have the same types, the parts are those of one
    process, and so is every bit of the statistics, whatever the engine and its number of workers.
    Text is cut elsewhere, where its lines are: counts, extremes, distinct counts and all that is
    exact are the same, moments agree to rounding, sketches within the bounds that they state.

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
        engine: where parts are profiled: an open engine or the name of one; None for the current
            engine, if there is one, else this process.
        on_error: what becomes of a part that cannot be read, or over which workers die: `raise`
            ends the work and names it; `skip` leaves it out and lists it in `skipped`, with the
            reason. The figures are then those of all other parts.

    Raises:
        DataError: the data cannot be read (on an engine, a damaged row group, too), or a weight is
            missing, negative or not finite. With `skip`: of no part at all.
        StepError: workers died over a part; names it.
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
        sample_rows=sample_rows, engine=engine, rows=partition_rows, on_error=on_error,
    )  # fmt: skip


def profile_stream(
    stream: TableStream,
    *,
    name: str | None = None,
    weight: str | None = None,
    slices: Sequence[Spec] | None = None,
    cross_features: bool = False,
    sample_rows: int = SAMPLE_ROWS,
    engine: Engine | str | None = None,
    rows: int = PARTITION_ROWS,
    on_error: OnError = "raise",
) -> Statistics:
    """Profile an open stream as `profile` does; what it mended and set aside is then in it.

    Args:
        rows: the most rows of a part that an engine takes; the stream's own parts stay as they are.

    Raises:
        DataError: a weight is missing, negative or not finite.
        UsageError: there is no such column of weights, or a slice cannot be made.
    """
    if weight is not None and weight not in stream.columns:
        raise UsageError(f"expected a column of weights, found no column {weight!r}")
    slicer = Slicer(slices) if slices else None
    profiler = _Profiler(name or "data", stream.kinds, weight, slicer, cross_features, sample_rows)
    failed = FailedParts(on_error)
    with chosen_engine(engine) as chosen:
        where = failed.place(chosen)
        total = None if where is None else _on_engine(where, profiler, stream, rows, failed)
    if total is None:
        tree = MergeTree[Statistics](operator.add)
        with task("profile", None, "rows") as work:
            for part in stream.parts():
                tree.push(profiler.part(part))
                work.advance(part.height)
        total = tree.total()
    if total is not None:
        return total
    empty = pl.DataFrame(schema=dict.fromkeys(stream.columns, pl.String))
    return profile_partition(empty, name or "data")


@dataclass(frozen=True)
class _Profiler:
    """How parts of one table are profiled; travels to workers."""

    name: str
    kinds: Mapping[str, str]
    weight: str | None
    slicer: Slicer | None
    cross_features: bool
    sample_rows: int

    def part(self, frame: pl.DataFrame) -> Statistics:
        """Profile one part, in pieces where its rows are long."""
        states = (
            profile_partition(
                piece, self.name, kinds=self.kinds, weight=self.weight, slicer=self.slicer,
                cross_features=self.cross_features, sample_rows=self.sample_rows,
            )
            for piece in _bounded(frame)
        )  # fmt: skip
        total = added_up(states, operator.add)
        if total is None:
            raise RuntimeError("a part has at least one piece")
        return total

    def run(self, parts: list[FilePart]) -> tuple[Statistics, Slicer | None]:
        """Profile some parts that follow one another; also return the slices seen in them."""
        alone = replace(self, slicer=None if self.slicer is None else self.slicer.copy())
        total = added_up((alone.part(part.read()) for part in parts), operator.add)
        if total is None:
            raise RuntimeError("a run has at least one part")
        return total, alone.slicer


def _on_engine(
    engine: Engine, profiler: _Profiler, stream: TableStream, rows: int, failed: FailedParts
) -> Statistics | None:
    """Profile parts on workers; None where only one process can do it."""
    tree = MergeTree[Statistics](operator.add)
    slicer = None if profiler.slicer is None else profiler.slicer.copy()
    with task("profile", None, "rows") as work:
        for found, parts, height in map_runs(engine, profiler.run, stream, rows, failed):
            state, sliced = (None, None) if found is None else found
            tree.push(state, parts)
            if slicer is not None and sliced is not None:
                slicer.merge(sliced)
            work.advance(height)
            if slicer is not None and slicer.full:
                work.note("too many slices for an engine: which are kept depends on all before")
                return None
    total = tree.total()
    return total and replace(total, skipped=tuple(failed.skipped))


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


def _bounded(part: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut a part of very long cells or very many columns, so that memory stays bounded."""
    pieces = int(part.estimated_size() // _PART_BYTES) + 1
    yield from part.iter_slices(max(1, -(-part.height // pieces))) if part.height else [part]
