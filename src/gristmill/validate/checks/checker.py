"""Checking a table against its schema and its baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError
from gristmill.core.progress import task
from gristmill.engine.current import chosen_engine
from gristmill.validate.checks.collect import Collector
from gristmill.validate.checks.inspection import Inspection
from gristmill.validate.checks.reading import check_skipped
from gristmill.validate.checks.report import Report
from gristmill.validate.checks.shifts import add_shifts
from gristmill.validate.checks.subject import Checkable, PartTyper, TypedStream, profile_typed
from gristmill.validate.parts import FailedParts, map_runs
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.skipped import OnError
from gristmill.validate.statistics.statistics import Statistics

if TYPE_CHECKING:
    from gristmill.data.file_part import FilePart
    from gristmill.engine.protocol import Engine
    from gristmill.validate.drifts.comparators import Measures, Role


def check(
    schema: Schema,
    data: Checkable,
    *,
    baseline: Checkable | None = None,
    environment: str | None = None,
    serving: Checkable | None = None,
    now: dt.datetime | None = None,
    tfdv_measures: Measures | None = None,
    engine: Engine | str | None = None,
    on_error: OnError = "raise",
) -> Report:
    """Check a table, or its statistics, against a schema, in one pass and bounded memory.

    Types are decided against the schema first: each cell is cast on its own, so one bad cell is
    one bad cell with its row id. Each rule looks at the table part by part and judges once, on the
    totals. Statistics have no rows, so their report has counts only.

    Memory: one part (262,144 rows), the statistics, 128 MiB for every key and for the duplicates
    of a table (exact up to 16.7 million different rows, a lower bound beyond), and at most one
    bit per row for each reason (5 million rows are listed for a reason at most).

    On an engine, workers read and check parts; the report is the one of one process, row by row
    (its statistics as `profile` says). Keys and duplicates, which take all rows together, are
    hashed by workers and compared here, 12 bytes a row. Rules in SQL need the whole table in one
    place: for them it is read once more, here.

    Args:
        data: a data frame, a path, paths that are one table together, or statistics.
        baseline: what distributions are compared with; None compares none.
        environment: one of the schema's environments; None checks every feature.
        serving: what a model is served with, compared by each `skew_comparator` of the schema.
        now: the time of the check, for `max_age`; the clock's when not given. Without a time zone
            it is taken as UTC.
        engine: where parts are checked: an open engine or the name of one; None for the current
            engine, if there is one, else this process.
        tfdv_measures: computes TFDV's own figures, where the schema compares by those.
        on_error: what becomes of a part that cannot be read, or over which workers die: `raise`
            ends the check and names it; `skip` leaves it out, which is a finding (`skipped_part`),
            and checks the others.

    Raises:
        DataError: the data cannot be read, or a baseline has no rows.
        StepError: workers died over a part; names it.
        UsageError: the schema knows no such environment, or holds a pattern, time or duration
            that cannot be read.
    """
    active = schema.active(environment)
    fresh = partial(Inspection, schema, active, environment, _utc(now))
    inspection, failed = fresh(), FailedParts(on_error)
    with chosen_engine(engine) as where:
        typed = partial(profile_typed, schema=schema, engine=where, on_error=on_error)
        before = None if baseline is None else typed(baseline, name="baseline")
        served = None if serving is None else typed(serving, name="serving")
        source = None
        if isinstance(data, Statistics):
            inspection.recall(data)
        else:
            source = TypedStream(data, schema)
            _inspect(inspection, fresh, source, failed.place(where), failed)
    found = Collector(schema)
    if source is not None:
        inspection.judge_reading(found, source.source)
    current = inspection.judge(found, before)
    current = replace(current, skipped=current.skipped + tuple(failed.skipped))
    found.add_all(None, check_skipped(current, before, served))
    if current.rows:
        _compare(found, schema, active, current, before, served, tfdv_measures)
    return _report(found, current, before, source)


def _inspect(
    inspection: Inspection,
    fresh: Callable[[], Inspection],
    stream: TypedStream,
    engine: Engine | None,
    failed: FailedParts,
) -> None:
    with task("check", None, "rows") as work:
        if engine is None:
            for part in stream.parts():
                inspection.observe(part, stream.source.name)
                work.advance(part.part.rows)
            return
        inspector = _Inspector(fresh, stream.typer, stream.source.name)
        looked_at = map_runs(engine, inspector.run, stream.source, stream.rows, failed)
        for seen, parts, rows in looked_at:
            if seen is None:
                inspection.leave_out(parts)
            else:
                inspection.merge(seen, parts)
            work.advance(rows)
    if inspection.needs_whole_table:
        with task("collect rows for rules in SQL", None, "rows") as work:
            for part in stream.again(but={part.number for part in failed.skipped}):
                inspection.keep(part)
                work.advance(part.part.rows)
    if wanted := inspection.wanted_parts:
        inspection.show_examples(stream.again(wanted))


@dataclass(frozen=True)
class _Inspector:
    """Inspects runs of parts; travels to workers.

    Attributes:
        fresh: makes an inspection that has seen nothing.
    """

    fresh: Callable[[], Inspection]
    typer: PartTyper
    name: str

    def run(self, parts: list[FilePart]) -> Inspection:
        """Look at some parts that follow one another."""
        found = self.fresh()
        for part in parts:
            found.look(self.typer.typed(part.number, part.read()), self.name)
        return found


def _compare(
    found: Collector,
    schema: Schema,
    active: Mapping[str, FeatureSpec],
    current: Statistics,
    before: Statistics | None,
    served: Statistics | None,
    measures: Measures | None,
) -> None:
    if before is not None:
        add_shifts(found, before, current, active, schema.table, tfdv_measures=measures)
    if served is not None:
        limited = {n: spec for n, spec in active.items() if spec.skew_comparator is not None}
        shared = {n: spec for n, spec in active.items() if n in served.features}
        features = shared | limited
        skew: Role = "skew_comparator"
        add_shifts(
            found, served, current, features, schema.table, role=skew, tfdv_measures=measures
        )


def _report(
    found: Collector, current: Statistics, before: Statistics | None, source: TypedStream | None
) -> Report:
    report = Report(
        current.name, current.rows, found.ranked(), found.drift, found.rows(),
        current=current, before=before,
    )  # fmt: skip
    if source is None:
        return report
    notes = [f"{note.code}: {note.message}" for note in source.source.notes]
    return report.read_as(source.source.unreadable, notes)


def _utc(now: dt.datetime | None) -> dt.datetime:
    if now is None:
        return dt.datetime.now(dt.UTC).replace(tzinfo=None)
    if not isinstance(now, dt.datetime):
        raise UsageError(f"expected now as a datetime, found {type(now).__name__}")
    return now if now.tzinfo is None else now.astimezone(dt.UTC).replace(tzinfo=None)
