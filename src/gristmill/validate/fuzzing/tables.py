"""Rows as a table, typed by the schema where every cell fits."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gristmill.validate.fuzzing.strategies import Row
from gristmill.validate.kinds import Kind
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema

_TYPES: dict[Kind, pl.DataType] = {
    "string": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "time": pl.Datetime("us"),
    "bytes": pl.Binary(),
}


def table_of(rows: Sequence[Row], schema: Schema) -> pl.DataFrame:
    """Make a table of rows; a column with a cell of another type is text, as from a file."""
    names = list(rows[0])
    return pl.DataFrame([_column(name, rows, schema.features[name]) for name in names])


def _column(name: str, rows: Sequence[Row], spec: FeatureSpec) -> pl.Series:
    cells = [row[name] for row in rows]
    kind = pl.String() if spec.type == "any" else _TYPES[spec.type]
    for _ in range(spec.nesting):
        kind = pl.List(kind)
    try:
        return pl.Series(name, cells, dtype=kind, strict=True)
    except (TypeError, pl.exceptions.PolarsError, OverflowError):
        texts = [None if cell is None else _spelled(cell) for cell in cells]
        return pl.Series(name, texts, dtype=pl.String)


def _spelled(cell: object) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
