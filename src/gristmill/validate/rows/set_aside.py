"""Setting bad rows aside with their reasons, so that the good ones can go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.stream import open_stream
from gristmill.data.table import ROW_ID, TableLike
from gristmill.validate.checks.report import REASONS, Report
from gristmill.validate.checks.subject import schema_kinds
from gristmill.validate.rows.row_check import RowCheck, typed
from gristmill.validate.schemas.schema import Schema


def quarantine(
    table: TableLike | Sequence[str | Path], report: Report, schema: Schema | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table into good rows and bad ones, by the report of its check.

    With a schema the good rows are cast to its types. The lines of a text file that are no rows at
    all are in the report's `unreadable`.

    Returns:
        The good rows, and the bad rows with a column `reasons` (list of "code: feature"); both in
        the order of the table, both with `row_id`. Every row is in exactly one of them.

    Raises:
        DataError: the check has left out parts of the table.
    """
    parts = list(iter_quarantined(table, report, schema))
    good = pl.concat([part.good for part in parts], how="vertical_relaxed")
    return good, pl.concat([part.bad for part in parts], how="vertical_relaxed")


def iter_quarantined(
    table: TableLike | Sequence[str | Path], report: Report, schema: Schema | None = None
) -> Iterator[RowCheck]:
    """Split a table as `quarantine` does, part by part; at least one part.

    Raises:
        DataError: as `quarantine`.
    """
    if report.current is not None and report.current.skipped:
        raise DataError(
            "the check left out parts of the table, so nobody knows which of their rows are good",
            where=report.current.skipped[0].where,
            fix="mend these parts and check again",
        )
    stream = open_stream(table, kinds=schema_kinds(schema) if schema else None)
    part: pl.DataFrame | None = None
    for part in stream.parts():
        yield _split(part, report, schema)
    if part is None:
        nothing = {ROW_ID: pl.Int64, **dict.fromkeys(stream.columns, pl.String)}
        yield _split(pl.DataFrame(schema=nothing), report, schema)


def _split(part: pl.DataFrame, report: Report, schema: Schema | None) -> RowCheck:
    reasons = report.rows.with_columns(pl.col(ROW_ID).cast(part.schema[ROW_ID]))
    good = part.join(reasons, on=ROW_ID, how="anti", maintain_order="left")
    bad = part.join(reasons, on=ROW_ID, how="inner", maintain_order="left")
    return RowCheck(
        typed(good, schema) if schema else good,
        bad.select(*part.columns, REASONS),
        report.unreadable,
    )
