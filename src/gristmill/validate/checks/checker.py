"""Checking a table against its schema and its baseline."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace

from gristmill.core.errors import DataError
from gristmill.data.table import TableLike
from gristmill.validate.checks.collect import Collector
from gristmill.validate.checks.duplicates import check_duplicates
from gristmill.validate.checks.observe import Seen
from gristmill.validate.checks.report import Report, largest_shifts
from gristmill.validate.checks.rules import Draft, check_column
from gristmill.validate.checks.subject import Subject, subject_of
from gristmill.validate.drifts.drift import Drift, measure
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.infer import infer_feature
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.statistics import Statistics

_EXPLAINED = 0.8
_MOVES_CELLS = (
    "unseen_value",
    "out_of_range",
    "not_finite",
    "length_out_of_range",
    "constant_column",
)


def check(
    schema: Schema,
    data: TableLike | Statistics,
    *,
    baseline: TableLike | Statistics | None = None,
    environment: str | None = None,
) -> Report:
    """Check a table, or its statistics, against a schema.

    Types are decided against the schema first: each cell is cast on its own, so one bad cell is one
    bad cell with its row id. Statistics have no rows, so their report has counts only.

    Args:
        data: a data frame, a path, or statistics.
        baseline: what distributions are compared with; None compares none.
        environment: one of the schema's environments; None checks every feature.

    Raises:
        DataError: the data cannot be read.
        UsageError: the schema knows no such environment.
    """
    active = schema.active(environment)
    subject = subject_of(data, schema)
    found = Collector(schema, subject.ids)
    for draft in (*_check_reading(subject), *_check_rows(schema, subject)):
        found.add(None, draft)
    if subject.rows:
        _check_columns(active, schema, environment, subject, found)
        before = None if baseline is None else subject_of(baseline, schema)
        repeated = check_duplicates(schema, subject, before)
        if repeated is not None:
            found.add(None, repeated)
        if before is not None:
            _check_drift(active, subject, before, found)
    return found.report(subject)


def _check_rows(schema: Schema, subject: Subject) -> Iterator[Draft]:
    least = schema.table.min_rows
    if not subject.rows:
        yield Draft("no_data", "there are no rows", Seen(0, 0))
    elif subject.rows < least:
        message = f"{subject.rows:,} rows, expected at least {least:,}"
        edit = Edit(None, "min_rows", least, subject.rows)
        yield Draft("few_rows", message, Seen(subject.rows, least), edit)


def _check_reading(subject: Subject) -> Iterator[Draft]:
    lines = subject.unreadable
    if lines.height:
        total = subject.rows + lines.height
        message = (
            f"{lines.height:,} of {total:,} records cannot be read as rows, "
            f"the first at line {lines['line'][0]}: {lines['reason'][0]}"
        )
        yield Draft("unreadable_row", message, Seen(lines.height, total, tuple(lines["text"][:5])))


def _check_columns(
    active: dict[str, FeatureSpec],
    schema: Schema,
    environment: str | None,
    subject: Subject,
    found: Collector,
) -> None:
    missing = [name for name in active if name not in subject.columns]
    new = [name for name in subject.columns if name not in active]
    for name in missing:
        if active[name].required:
            found.add(name, _missing_column(name, new))
    for name in new:
        known = name in schema.features
        feature = subject.statistics.features[name]
        found.add(name, _excluded(environment) if known else _new_column(name, feature, missing))
    for name, spec in active.items():
        if name in subject.columns:
            for draft in check_column(name, spec, subject.observe(name, spec)):
                found.add(name, draft)


def _missing_column(name: str, new: list[str]) -> Draft:
    message = f"the column is missing{_similar(name, new, 'found')}"
    return Draft("missing_column", message, Seen(0, 0), Edit(name, "required", old=True, new=False))


def _new_column(name: str, feature: Feature, missing: list[str]) -> Draft:
    message = f"the schema does not know this column{_similar(name, missing, 'missing')}"
    edit = Edit(name, "", None, infer_feature(name, feature))
    return Draft("new_column", message, Seen(0, 0), edit)


def _excluded(environment: str | None) -> Draft:
    message = f"the schema says that {environment!r} data does not have this column"
    return Draft("new_column", message, Seen(0, 0))


def _similar(name: str, others: list[str], word: str) -> str:
    folded = {other.strip("\ufeff ").casefold(): other for other in others}
    near = difflib.get_close_matches(name.strip("\ufeff ").casefold(), folded, 1, cutoff=0.7)
    return f"; {word}: {folded[near[0]]!r}, a new name for it?" if near else ""


def _check_drift(
    active: dict[str, FeatureSpec], subject: Subject, baseline: Subject, found: Collector
) -> None:
    if not baseline.rows:
        raise DataError("the baseline has no rows", fix="compare with a table that has rows")
    for name, spec in active.items():
        before = baseline.statistics.features.get(name)
        after = subject.statistics.features.get(name)
        if before is None or after is None:
            continue
        drift = measure(name, *_unexplained(before, after, found, name), spec.drift)
        if drift is None:
            continue
        found.drift.append(drift)
        # What bad cells moved has been told already; a few bad cells must not hide a shift.
        told = found.bad_cells(name, _MOVES_CELLS) / subject.rows
        if drift.alarm and told < _EXPLAINED * drift.moved:
            found.add(name, _drifted(drift), drift)


def _unexplained(
    before: Feature, after: Feature, found: Collector, name: str
) -> tuple[Feature, Feature]:
    """Leave out of the comparison what other findings say of missing and unparsed cells."""
    if found.bad_cells(name, ("missing_values",)):
        return _without_missing(before, before.missing), _without_missing(after, after.missing)
    return before, _without_missing(after, found.bad_cells(name, ("wrong_type",)))


def _without_missing(feature: Feature, cells: int) -> Feature:
    cells = min(cells, feature.missing)
    return replace(feature, rows=feature.rows - cells, missing=feature.missing - cells)


def _drifted(drift: Drift) -> Draft:
    over = "" if drift.over in ("numbers", "values", "times") else f" of {drift.over}"
    message = (
        f"the distribution{over} has shifted: distance {drift.distance:.3f}, more than "
        f"{drift.threshold:g} matters and chance reaches {drift.floor:.3f} "
        f"(most: {largest_shifts(drift)[0]})"
    )
    return Draft("drift", message, Seen(drift.current_rows, drift.current_rows))
