"""Is the model old, are its data, does nobody ask it, does the truth fail to come?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_seconds
from gristmill.pipeline.monitoring.findings import finding
from gristmill.validate.chance import REPORT_LEVEL, shares_differ

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.pipeline.monitoring.seen import Seen
    from gristmill.validate.checks.findings import Finding

_MICROSECONDS = 1e6
_DAY = 86_400.0


def staleness_found(seen: Seen, plan: MonitorPlan) -> Iterator[Finding]:
    """Yield what has not moved for too long."""
    yield from _silence(seen, plan.seconds("silent_after") or 0.0)
    old = plan.seconds("stale_after")
    if old is not None:
        yield from _age(seen, old)
    due = plan.seconds("truth_after")
    if due is not None:
        yield from _late_truth(seen, due)


def _silence(seen: Seen, allowed: float) -> Iterator[Finding]:
    # A version that has only just begun to answer need not have been asked yet.
    last = max(seen.newest or 0.0, seen.promoted.at)
    if seen.now - last > allowed:
        since = "since it answers" if seen.newest is None else f"since {format_moment(last)}"
        yield finding(
            "nothing_served",
            f"nothing was served {since}, {length(seen.now - last)} ago",
            fix="see whether the server runs, and keeps what it serves in this folder",
        )


def _age(seen: Seen, allowed: float) -> Iterator[Finding]:
    age = seen.now - seen.version.created
    if age > allowed:
        yield finding(
            "stale_model",
            f"version {seen.version.version} was made {length(age)} ago, "
            f"{length(allowed)} are allowed",
            fix="train anew on newer data",
        )
    known = seen.statistician.baseline
    times = [each.times for each in (known.features if known else {}).values()]
    ends = [each.high / _MICROSECONDS for each in times if each and each.high is not None]
    if ends and seen.now - max(ends) > allowed:
        yield finding(
            "stale_data",
            f"the newest time in the training data is {length(seen.now - max(ends))} ago, "
            f"{length(allowed)} are allowed",
            fix="train anew on newer data",
        )


def _late_truth(seen: Seen, due: float) -> Iterator[Finding]:
    """Yield that none of the newest predictions whose truth should be in has it.

    Where the truth of older ones was told, of all or of some, chance must not explain this.
    """
    answered = seen.answered
    older = answered.at < seen.now - 2 * due
    ripe = (answered.at < seen.now - due) & ~older
    count, known = int(ripe.sum()), int((answered.told & older).sum())
    if not count or (answered.told & ripe).any():
        return
    if not known or shares_differ(0, count, known, int(older.sum()), REPORT_LEVEL):
        yield finding(
            "late_truth",
            f"none of {count:,} predictions made {length(due)} to {length(2 * due)} ago has its "
            "truth",
            count,
            count,
            fix="see whether those who tell the truth still do",
        )


def length(seconds: float) -> str:
    """Print a duration: `3.5 days`, `5 h 20 min`."""
    return f"{seconds / _DAY:.3g} days" if seconds >= 2 * _DAY else format_seconds(seconds)
