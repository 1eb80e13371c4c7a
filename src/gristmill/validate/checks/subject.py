"""Reading a table as its schema says: its cells cast, its bad cells known, its figures taken."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import polars as pl

from gristmill.data.stream import PART_ROWS, TableStream, open_stream
from gristmill.data.table import ROW_ID, TableLike
from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.places import Part
from gristmill.validate.kinds import KINDS, cast
from gristmill.validate.merge_tree import added_up
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.profiler import profile_partition
from gristmill.validate.statistics.statistics import Statistics

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


class TypedStream:
    """A table in typed parts; at least one part, which is empty where the table is."""

    def __init__(
        self,
        data: TableLike | Sequence[str | Path],
        schema: Schema,
        rows: int | None = None,
    ) -> None:
        size = PART_ROWS if rows is None else rows
        self.source: TableStream = open_stream(data, kinds=schema_kinds(schema), rows=size)
        self._features = schema.features
        known = [*schema.features]
        self.columns = [name for name in self.source.columns if name != ROW_ID]
        self._guessed = {
            name: kind for name, kind in self.source.kinds.items() if name not in known
        }

    def parts(self) -> Iterator[TypedPart]:
        """Yield the parts in order."""
        number = 0
        for frame in self.source.parts():
            yield self._typed(number, frame)
            number += 1
        if not number:
            empty = dict.fromkeys(self.columns, pl.String)
            yield self._typed(0, pl.DataFrame(schema={ROW_ID: pl.Int64, **empty}))

    def _typed(self, number: int, frame: pl.DataFrame) -> TypedPart:
        ids = frame[ROW_ID]
        part = Part.of(number, ids)
        cells: dict[str, Cells] = {}
        columns: dict[str, pl.Series] = {}
        for column in frame.drop(ROW_ID).iter_columns():
            spec = self._features.get(column.name)
            if spec is None:
                columns[column.name] = _as_guessed(column, self._guessed)
                continue
            cells[column.name] = Cells(column, spec, part)
            columns[column.name] = cells[column.name].rebuilt()
        return TypedPart(part, cells, pl.DataFrame(columns), ids)


def profile_typed(data: Checkable, schema: Schema, name: str | None = None) -> Statistics:
    """Profile a table whose cells are cast to the types of a schema; pass statistics through.

    Raises:
        DataError: the data cannot be read.
    """
    if isinstance(data, Statistics):
        return data
    stream = TypedStream(data, schema)
    states = (profile_partition(p.frame, name or stream.source.name) for p in stream.parts())
    total = added_up(states, operator.add)
    return total if total is not None else profile_partition(pl.DataFrame(), name or "data")


def _as_guessed(column: pl.Series, kinds: Mapping[str, str]) -> pl.Series:
    """Cast a column that no schema knows to what most of it is, so that all parts are alike."""
    kind = next((kind for kind in KINDS if kind == kinds.get(column.name)), None)
    if kind is None or column.dtype != pl.String or kind == "string":
        return column
    return cast(column, kind).column
