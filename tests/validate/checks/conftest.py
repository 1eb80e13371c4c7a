"""Checking with parts of any size, for the tests of this folder."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable

import polars as pl
import pytest

from gristmill.engine.merge_tree import aligned_runs
from gristmill.validate import Finding, Schema
from gristmill.validate.checks.collect import Collector
from gristmill.validate.checks.inspection import Inspection
from gristmill.validate.checks.subject import TypedStream
from gristmill.validate.parts import table_parts

NOW = dt.datetime(2024, 3, 1, 12)
InParts = Callable[[Schema, pl.DataFrame, int], tuple[list[Finding], pl.DataFrame]]


def _check_in_parts(
    schema: Schema, frame: pl.DataFrame, rows: int
) -> tuple[list[Finding], pl.DataFrame]:
    inspection = Inspection(schema, schema.active(), None, NOW)
    stream = TypedStream(frame, schema, rows)
    for part in stream.parts():
        inspection.observe(part, "data")
    found, shared = Collector(schema), Collector(schema)
    inspection.judge(found, None)
    _shared_out(schema, stream).judge(shared, None)
    assert found.ranked() == shared.ranked()
    assert found.rows().equals(shared.rows())
    return found.ranked(), found.rows()


def _shared_out(schema: Schema, stream: TypedStream) -> Inspection:
    """Inspect runs of parts each on their own, as other processes would."""
    inspection = Inspection(schema, schema.active(), None, NOW)
    for parts, run in aligned_runs(table_parts(stream.source, stream.rows), workers=2):
        alone = Inspection(schema, schema.active(), None, NOW)
        for part in run:
            alone.look(stream.typer.typed(part.number, part.read()), "data")
        inspection.merge(pickle.loads(pickle.dumps(alone)), parts)
    if inspection.needs_whole_table:
        for typed in stream.again():
            inspection.keep(typed)
    inspection.show_examples(stream.again(inspection.wanted_parts))
    return inspection


@pytest.fixture(scope="session")
def check_in_parts() -> InParts:
    """Return `check_in_parts(schema, frame, rows_per_part)`: findings and bad rows."""
    return _check_in_parts
