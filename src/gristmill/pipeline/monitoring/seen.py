"""What there is to judge a served model by: statistics of hours, predictions, what it learned.

A version may be served under several names: by itself, behind a route, as a shadow. The same rows
may pass through all of them, and rows that are counted twice would make chance look like drift; so
the name that saw the most rows is looked at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.errors import StoreError, UsageError
from gristmill.pipeline.monitoring.answered_rows import AnsweredRows
from gristmill.pipeline.served_statistics import ServedStatistics
from gristmill.serve.routing.registry_watcher import registered_bundle
from gristmill.serve.watch.kept_predictions import (
    PREDICTIONS,
    KeptPrediction,
    kept_predictions,
)
from gristmill.serve.watch.served_profile import HOUR, ServedProfile
from gristmill.store.registry import Registry

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.store.bundle import Bundle
    from gristmill.store.decision import Decision
    from gristmill.store.project import Project
    from gristmill.store.registry import ModelVersion
    from gristmill.validate import Statistics

_DIGITS = 12
"""Of a bundle's fingerprint in the name of the folder of what it answered."""


@dataclass(frozen=True)
class Seen:
    """What is known of the version that answers.

    Attributes:
        version: which one it is.
        promoted: the decision by which it answers.
        judged: the newest decision on it that has figures, if there is one.
        bundle: what answers.
        statistician: compares with what its bundle says of the training data.
        statistics: of what was served in the last hours; None where there is nothing.
        damaged: how many of these hours cannot be read.
        newest: end of the last hour in which something was served, in seconds since 1970.
        answered: predictions that were kept.
        now: the time of the look.
    """

    version: ModelVersion
    promoted: Decision
    judged: Decision | None
    bundle: Bundle
    statistician: ServedStatistics
    statistics: Statistics | None
    damaged: int
    newest: float | None
    answered: AnsweredRows
    now: float

    @property
    def rows(self) -> int:
        """How many rows the statistics are of."""
        return 0 if self.statistics is None else self.statistics.rows


def look(project: Project, model: str, plan: MonitorPlan, served: Path, now: float) -> Seen:
    """Gather what there is of the version that answers.

    Args:
        project: whose registry.
        model: the model's name.
        plan: which alias, and how far to look back.
        served: the folder of all that was served.
        now: seconds since 1970.

    Raises:
        UsageError: no version has the alias.
        StoreError, BundleError: the version's bundle is gone, or damaged.
        DataError: what it says of its training data cannot be read.
    """
    registry = Registry(project)
    history = registry.history(model)
    promoted = registry.aliases(model).get(plan.alias)
    if promoted is None:
        registry.version(model, 1)  # says which models there are
        raise UsageError(
            f"no version of {model!r} is its {plan.alias!r}, so none answers",
            fix=f"see `gristmill history {model}`",
        )
    version = registry.version(model, promoted.version)
    bundle = registered_bundle(project, version)
    judged = [e for e in history if e.version == version.version and "figure" in e.evidence]
    statistician = ServedStatistics.of(bundle)
    folders = served_folders(served, bundle)
    profiles = [ServedProfile(statistician, each, clock=lambda: now) for each in folders]
    recent = [profile.recent(plan.hours) for profile in profiles]
    since = now - (plan.seconds("truth_within") or 0.0)
    return Seen(
        version=version,
        promoted=promoted,
        judged=judged[-1] if judged else None,
        bundle=bundle,
        statistician=statistician,
        statistics=max(recent, key=lambda found: found.rows if found else 0, default=None),
        damaged=sum(profile.damaged for profile in profiles),
        newest=_newest(profiles),
        answered=_answered(served, bundle, since, now),
        now=now,
    )


def served_folders(served: Path, bundle: Bundle) -> list[Path]:
    """Return where it is kept what a bundle answered, under whatever names it was served.

    Raises:
        StoreError: there is no such folder at all.
    """
    if not served.is_dir():
        raise StoreError(
            "expected the folder of what was served, found none",
            where=str(served),
            fix="serve with a serving file or --watch-folder, and name the file or the folder in "
            "[monitor] of gristmill.toml as `serving` or `served`",
        )
    return sorted(served.glob(f"*-{bundle.fingerprint[:_DIGITS]}"))


def _answered(served: Path, bundle: Bundle, since: float, until: float) -> AnsweredRows:
    """Return what a bundle answered under the name under which most of it was kept."""
    folders = sorted(path.parent for path in served.glob(f"*/{PREDICTIONS}"))
    found = (AnsweredRows.of(_kept(folder, bundle, since, until)) for folder in folders)
    return max(found, key=lambda each: each.rows, default=AnsweredRows.of(()))


def _kept(folder: Path, bundle: Bundle, since: float, until: float) -> Iterator[KeptPrediction]:
    """Yield what a bundle answered, of one folder."""
    for each in kept_predictions(folder, since=since, until=until):
        if each.version and bundle.fingerprint.startswith(each.version):
            yield each


def _newest(profiles: Sequence[ServedProfile]) -> float | None:
    hours = [hour for profile in profiles for hour in profile.hours()[-1:]]
    if not hours:
        return None
    begun = dt.datetime.strptime(max(hours), HOUR).replace(tzinfo=dt.UTC)
    return begun.timestamp() + 3600
