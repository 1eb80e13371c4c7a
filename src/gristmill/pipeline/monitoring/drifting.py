"""Has what is asked, or what is answered, moved away from what it was in training?

`validate` compares: it holds down false alarms over all columns together, and names what it can
(another unit, swapped columns). Answers whose distribution the bundle does not hold are compared
with the first hours of answers that were kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from gristmill.pipeline.monitoring.codes import CURED, FAULTS, MONITORED
from gristmill.pipeline.monitoring.findings import finding
from gristmill.pipeline.served_statistics import LEAST_ROWS, ServedStatistics
from gristmill.serve.watch.served_rows import PREDICTION
from gristmill.validate import Report, profile

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.answered_rows import AnsweredRows
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.pipeline.monitoring.seen import Seen
    from gristmill.validate.checks.findings import Finding

_SINGLE = (str, bool, int, float)
_FIRST_SECONDS = 60.0
"""A server writes down what it was asked once a minute (`serve.watch.drift`)."""


def drift_report(seen: Seen, plan: MonitorPlan, name: str) -> Report:
    """Compare what was served in the last hours with the training data.

    Args:
        seen: what there is.
        plan: how many hours are recent.
        name: what the report calls the data.
    """
    if seen.statistics is None:
        report = Report(name, 0, [])
    else:
        report = replace(
            seen.statistician.report(seen.statistics),
            name=name,
            current=seen.statistics,
            before=seen.statistician.baseline,
        )
    found = [*(_told(each) for each in report.findings), *_untold(seen, plan.hours)]
    known = seen.statistician.baseline
    if known is None or not any(each.startswith(PREDICTION) for each in known.features):
        found += _against_the_first(seen.answered, plan.hours * 3600.0, seen.now)
    return replace(report, findings=found)


def _untold(seen: Seen, hours: int) -> Iterator[Finding]:
    """Yield why nothing is said of drift, where that is so: silence must not read as calm."""
    if seen.damaged:
        yield finding(
            "damaged_hours",
            f"{seen.damaged} kept hours of a server cannot be read and are left out",
            seen.damaged,
            fix="remove them: they are of another version, or were copied in part",
        )
    if seen.statistician.schema is None:
        yield finding(
            "not_comparable",
            "the bundle does not say what its training data look like",
            fix="give it the files of gristmill.pipeline.training_profile",
        )
    elif seen.rows < LEAST_ROWS and not _just_begun(seen):
        yield finding(
            "few_served",
            f"{seen.rows:,} rows of the last {hours} hours are known, {LEAST_ROWS} are asked for: "
            "nothing is said of drift",
        )


def _just_begun(seen: Seen) -> bool:
    """Say whether the version was promoted so lately that no server can have written anything."""
    return seen.newest is None and seen.now - seen.promoted.at < _FIRST_SECONDS


def _told(each: Finding) -> Finding:
    """Say it in the words of monitoring: nobody edits the schema of a bundle.

    Answers that are all alike are the model's doing, and no fault of the data.
    """
    if each.code in ("drift", *FAULTS) and (each.feature or "").startswith(PREDICTION):
        each = msgspec.structs.replace(
            each, code="prediction_drift", severity=MONITORED["prediction_drift"]
        )
    fix = ""
    if each.code in CURED:
        fix = "train anew on newer data"
    elif each.code in FAULTS:
        fix = "mend the data where they come from; a model must not learn this"
    return msgspec.structs.replace(each, edit=None, fix=fix)


def _against_the_first(answered: AnsweredRows, seconds: float, now: float) -> Iterator[Finding]:
    """Yield how the answers of the last hours differ from those of the first."""
    if not answered.rows:
        return
    begun = answered.at < answered.at.min() + seconds
    recent = ~begun & (answered.at >= now - seconds)
    if min(int(begun.sum()), int(recent.sum())) < LEAST_ROWS:
        return
    first, last = (_columns(answered.where(chosen)) for chosen in (begun, recent))
    before = ServedStatistics(None, profile(pl.DataFrame(first), sample_rows=0))
    for each in before.report(before.profile(last)).findings:
        if each.code == "drift":
            message = f"against the first hours of answers: {each.message}"
            yield _told(msgspec.structs.replace(each, message=message))


def _columns(rows: AnsweredRows) -> dict[str, list[object]]:
    return {
        PREDICTION + name: values
        for name, values in rows.answers.items()
        if all(isinstance(value, _SINGLE) for value in values)
    }
