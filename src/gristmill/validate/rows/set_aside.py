"""Setting bad rows aside with their reasons, so that the good ones can go on."""

from __future__ import annotations

import polars as pl

from gristmill.data.table import ROW_ID, TableLike
from gristmill.validate.checks.report import REASONS, Report
from gristmill.validate.checks.subject import read_cells


def quarantine(table: TableLike, report: Report) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table into good rows and bad ones, by the report of its check.

    The cells of a text file stay text, and its lines that are no rows at all are in the report's
    `unreadable`.

    Returns:
        The good rows, and the bad rows with a column `reasons` (list of "code: feature"); both in
        the order of the table, both with `row_id`. Every row is in exactly one of them.
    """
    frame, _ = read_cells(table)
    bad = report.rows.with_columns(pl.col(ROW_ID).cast(frame.schema[ROW_ID]))
    good = frame.join(bad, on=ROW_ID, how="anti", maintain_order="left")
    return good, frame.join(bad, on=ROW_ID, how="inner", maintain_order="left").select(
        *frame.columns, REASONS
    )
