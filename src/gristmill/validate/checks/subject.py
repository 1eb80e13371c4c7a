"""What is checked: a table together with its statistics, or statistics alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.validate.checks.observe import Cells, Figures, Observed
from gristmill.validate.checks.report import no_unreadable
from gristmill.validate.kinds import cast
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.profiler import profile
from gristmill.validate.statistics.statistics import Statistics


@dataclass
class Subject:
    """What is checked: a table with its statistics, or statistics alone."""

    name: str
    rows: int
    columns: list[str]
    frame: pl.DataFrame | None
    ids: pl.Series | None
    statistics: Statistics
    unreadable: pl.DataFrame = field(default_factory=no_unreadable)

    def observe(self, name: str, spec: FeatureSpec) -> Observed:
        """Look at one column as its schema says."""
        if self.frame is None:
            return Figures(self.statistics.features[name], spec.type)
        return Cells(self.frame[name], spec.type)


def subject_of(data: TableLike | Statistics, schema: Schema) -> Subject:
    """Read, cast and profile what is to be checked.

    Raises:
        DataError: the data cannot be read.
    """
    if isinstance(data, Statistics):
        return Subject(data.name, data.rows, list(data.features), None, None, data)
    frame, unreadable = read_cells(data)
    body = frame.drop(ROW_ID)
    name = Path(data).name if isinstance(data, str | Path) else "data"
    statistics = profile(conform(body, schema), name=name)
    return Subject(name, body.height, body.columns, body, frame[ROW_ID], statistics, unreadable)


def read_cells(data: TableLike) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a table so that its schema, and not a guess, decides the types of its cells.

    Returns:
        The table with `row_id`; the cells of a text file are text. And what of the file cannot be
        read as rows: `line`, `text`, `reason`.
    """
    if not isinstance(data, str | Path):
        return as_table(data), no_unreadable()
    from gristmill.data.formats import read_table_with_rejects

    frame, rejects = read_table_with_rejects(Path(data), columns_as_text=True)
    return as_table(frame), rejects


def conform(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Cast the columns that a schema knows to its types; cells that do not fit become null."""
    known = [(name, spec.type) for name, spec in schema.features.items() if name in frame.columns]
    typed = [cast(frame[name], kind).column for name, kind in known if kind != "any"]
    return frame.with_columns(typed)
