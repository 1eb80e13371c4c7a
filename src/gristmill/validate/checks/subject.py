"""Reading a table as its schema says: its cells cast, its bad cells known, its figures taken."""

from __future__ import annotations

import operator
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from gristmill.data.stream import PART_ROWS, TableStream, open_stream
from gristmill.data.table import ROW_ID, TableLike
from gristmill.engine.merge_tree import MergeTree, added_up
from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.places import Part
from gristmill.validate.kinds import KINDS, cast
from gristmill.validate.parts import FailedParts, map_runs, table_parts
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.skipped import OnError
from gristmill.validate.statistics.profiler import profile_partition
from gristmill.validate.statistics.statistics import Statistics

if TYPE_CHECKING:
    from gristmill.data.file_part import FilePart
    from gristmill.engine.protocol import Engine

Checkable: TypeAlias = TableLike | Sequence[str | Path] | Statistics
"""What can be checked: a table, files that are one table together, or statistics alone."""


@dataclass(frozen=True)
class TypedPart:
    """One part of a table, read as its schema says.

    Attributes:
        part: its number and row ids.
        cells: the columns that the schema knows, with their bad cells.
        frame: all columns, cast, without row ids; cells that do not fit are null.
        ids: the row ids.
    """

    part: Part
    cells: dict[str, Cells]
    frame: pl.DataFrame
    ids: pl.Series


def schema_kinds(schema: Schema) -> dict[str, str]:
    """What a schema says that columns are: name -> kind, where it says so."""
    return {name: spec.type for name, spec in schema.features.items() if spec.type != "any"}


@dataclass(frozen=True)
class PartTyper:
    """Casts the cells of any part of a table, in any process.

    Attributes:
        features: what the schema says of columns.
        guessed: the kinds of the columns that it does not know.
    """

    features: Mapping[str, FeatureSpec]
    guessed: Mapping[str, str]

    def typed(self, number: int, frame: pl.DataFrame) -> TypedPart:
        """Read a part as its schema says."""
        ids = frame[ROW_ID]
        part = Part.of(number, ids)
        cells: dict[str, Cells] = {}
        columns: dict[str, pl.Series] = {}
        for column in frame.drop(ROW_ID).iter_columns():
            spec = self.features.get(column.name)
            if spec is None:
                columns[column.name] = _as_guessed(column, self.guessed)
                continue
            cells[column.name] = Cells(column, spec, part)
            columns[column.name] = cells[column.name].rebuilt()
        return TypedPart(part, cells, pl.DataFrame(columns), ids)


class TypedStream:
    """A table in typed parts; at least one part, which is empty where the table is."""

    def __init__(
        self,
        data: TableLike | Sequence[str | Path],
        schema: Schema,
        rows: int | None = None,
    ) -> None:
        self.rows = PART_ROWS if rows is None else rows
        self.source: TableStream = open_stream(data, kinds=schema_kinds(schema), rows=self.rows)
        self.columns = [name for name in self.source.columns if name != ROW_ID]
        guessed = {n: kind for n, kind in self.source.kinds.items() if n not in schema.features}
        self.typer = PartTyper(schema.features, guessed)

    def parts(self) -> Iterator[TypedPart]:
        """Yield the parts in order."""
        number = 0
        for frame in self.source.parts():
            yield self.typer.typed(number, frame)
            number += 1
        if not number:
            empty = dict.fromkeys(self.columns, pl.String)
            yield self.typer.typed(0, pl.DataFrame(schema={ROW_ID: pl.Int64, **empty}))

    def again(
        self, numbers: Container[int] | None = None, *, but: Container[int] = ()
    ) -> Iterator[TypedPart]:
        """Yield the parts once more, cut as engines get them; the log stays as it is.

        Args:
            numbers: of the parts that are wanted; None for all.
            but: of those that are not.
        """
        for part in table_parts(self.source.cut_at(self.rows), self.rows):
            if part.number in but or (numbers is not None and part.number not in numbers):
                continue
            yield self.typer.typed(part.number, part.read())


@dataclass(frozen=True)
class _Profiler:
    """Profiles runs of parts whose cells are cast; travels to workers."""

    typer: PartTyper
    name: str

    def part(self, part: TypedPart) -> Statistics:
        return profile_partition(part.frame, self.name)

    def run(self, parts: list[FilePart]) -> Statistics | None:
        states = (self.part(self.typer.typed(part.number, part.read())) for part in parts)
        return added_up(states, operator.add)


def profile_typed(
    data: Checkable,
    schema: Schema,
    name: str | None = None,
    engine: Engine | None = None,
    on_error: OnError = "raise",
) -> Statistics:
    """Profile a table whose cells are cast to the types of a schema; pass statistics through.

    Args:
        engine: where parts are profiled; None for this process.
        on_error: what becomes of a part that fails; see `profile`.

    Raises:
        DataError: the data cannot be read.
        StepError: workers died over a part.
    """
    if isinstance(data, Statistics):
        return data
    stream = TypedStream(data, schema)
    profiler = _Profiler(stream.typer, name or stream.source.name)
    tree, failed = MergeTree[Statistics](operator.add), FailedParts(on_error)
    where = failed.place(engine)
    if where is None:
        for part in stream.parts():
            tree.push(profiler.part(part))
    else:
        for state, parts, _ in map_runs(where, profiler.run, stream.source, stream.rows, failed):
            tree.push(state, parts)
    total = tree.total()
    if total is None:
        return profile_partition(pl.DataFrame(), name or "data")
    return replace(total, skipped=tuple(failed.skipped))


def _as_guessed(column: pl.Series, kinds: Mapping[str, str]) -> pl.Series:
    """Cast a column that no schema knows to what most of it is, so that all parts are alike."""
    kind = next((kind for kind in KINDS if kind == kinds.get(column.name)), None)
    if kind is None or column.dtype != pl.String or kind == "string":
        return column
    return cast(column, kind).column
