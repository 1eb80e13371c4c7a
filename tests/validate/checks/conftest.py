"""Checking with parts of any size, for the tests of this folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from gristmill.validate import Finding, Schema
from gristmill.validate.checks.collect import Collector
from gristmill.validate.checks.inspection import Inspection
from gristmill.validate.checks.subject import TypedStream

NOW = dt.datetime(2024, 3, 1, 12)
InParts = Callable[[Schema, pl.DataFrame, int], tuple[list[Finding], pl.DataFrame]]


def _check_in_parts(
    schema: Schema, frame: pl.DataFrame, rows: int
) -> tuple[list[Finding], pl.DataFrame]:
    inspection = Inspection(schema, schema.active(), None, NOW)
    for part in TypedStream(frame, schema, rows).parts():
        inspection.observe(part, "data")
    found = Collector(schema)
    inspection.judge(found, None)
    return found.ranked(), found.rows()


@pytest.fixture(scope="session")
def check_in_parts() -> InParts:
    """Return `check_in_parts(schema, frame, rows_per_part)`: findings and bad rows."""
    return _check_in_parts
