"""One look at what a model is served: what is found, what is done about it, all on record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.core.errors import UsageError
from gristmill.pipeline.monitoring.confidence import calibration_found
from gristmill.pipeline.monitoring.drifting import drift_report
from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
from gristmill.pipeline.monitoring.monitored import Monitored
from gristmill.pipeline.monitoring.quality import quality_found, truths_found
from gristmill.pipeline.monitoring.retraining import LOCK, Order, begin, wait_for
from gristmill.pipeline.monitoring.seen import Seen, look
from gristmill.pipeline.monitoring.staleness import staleness_found
from gristmill.pipeline.monitoring.trigger import Action, triggered
from gristmill.store.monitorings import ENDS, Monitoring, Monitorings
from gristmill.store.registry import Registry
from gristmill.validate.checks.report import ranked

if TYPE_CHECKING:
    from subprocess import Popen

    from gristmill.store.project import Project
    from gristmill.validate import Report
    from gristmill.validate.checks.findings import Finding

_LOOKS = "monitor"
"""The lock under which it is decided what is done."""


def monitor(
    project: Project,
    plan: MonitorPlan | None = None,
    *,
    served: Path | str | None = None,
    now: float | None = None,
    dry_run: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Monitored:
    """Compare what a model is served with what it learned from, and do what the plan says.

    Args:
        project: whose registry, pipeline and log.
        plan: what is monitored and what is done; by default `[monitor]` of `gristmill.toml`.
        served: the folder of all that was served; by default as the plan says.
        now: seconds since 1970; by default the time of the clock.
        dry_run: only say what would be done: nothing is begun, nothing is logged.
        stopped: whether a retraining is to stop at its next good place; asked while it runs.

    Raises:
        UsageError: the plan makes no sense, or no version answers.
        StoreError, BundleError, DataError: what was served, or the version, cannot be read.
        ReadOnlyError: the project is open read-only, and it is no dry run.
    """
    rules = MonitorPlan.parse(project.settings.monitor) if plan is None else plan
    moment = time.time() if now is None else now
    model = monitored_model(project, rules)
    folder = rules.served_folder(project.root) if served is None else Path(served)
    seen = look(project, model, rules, folder, moment)
    report = judged(seen, rules)
    monitored = Monitored(
        model=model,
        alias=rules.alias,
        version=seen.version.version,
        since=seen.promoted.at,
        at=moment,
        hours=rules.hours,
        predictions=seen.answered.rows,
        truths=int(seen.answered.told.sum()),
        report=report,
        action=Action("none", []),
    )
    log = Monitorings(project)
    if dry_run:
        under_way = project.is_locked(LOCK)
        action = _triggered(log, rules, monitored, under_way=under_way)
        return replace(monitored, action=action)
    ahead = 0.0 if now is None else now - time.time()
    action, process = _decide(project, rules, monitored, ahead)
    outcome = None
    if process is not None:
        wait_for(process, stopped)
        outcome = _end(log.deeds(model))
    return replace(monitored, action=action, outcome=outcome)


def judged(seen: Seen, plan: MonitorPlan) -> Report:
    """Return all that is found of what was seen, in the form of a check of validation."""
    name = f"{seen.version.model} version {seen.version.version}"
    report = drift_report(seen, plan, name)
    found = [
        *report.findings,
        *quality_found(seen, plan),
        *calibration_found(seen, plan),
        *truths_found(seen, plan),
        *staleness_found(seen, plan),
    ]
    return replace(report, findings=ranked(found))


def plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return what the log keeps of findings: no distributions."""
    return [
        {
            "code": each.code,
            "severity": each.severity,
            "feature": each.feature,
            "message": each.message,
        }
        for each in findings
    ]


def _decide(
    project: Project, plan: MonitorPlan, monitored: Monitored, ahead: float
) -> tuple[Action, Popen[bytes] | None]:
    """Decide what is done, log it, and begin a retraining if that is it."""
    log, model = Monitorings(project), monitored.model
    findings = monitored.report.findings
    with project.lock(_LOOKS), ExitStack() as stack:
        try:
            lock = stack.enter_context(project.lock(LOCK, wait=False))
        except BlockingIOError:
            lock = -1
        action = _triggered(log, plan, monitored, under_way=lock < 0)
        # What a retraining is begun for is compared with what the next one would be for.
        told = action.findings if action.kind == "retrain" else findings
        log.add(
            model,
            action.kind,
            action.reasons,
            version=monitored.version,
            findings=plain(told),
            at=monitored.at,
        )
        if action.kind != "retrain":
            return action, None
        order = Order(
            root=str(project.root),
            model=model,
            alias=plan.alias,
            version=monitored.version,
            ahead=ahead,
            pipeline=plan.pipeline,
            force=plan.force,
            findings=plain(action.findings),
        )
        return action, begin(order, lock)


def _triggered(
    log: Monitorings, plan: MonitorPlan, monitored: Monitored, *, under_way: bool
) -> Action:
    deeds = log.deeds(monitored.model)
    found, now, since = monitored.report.findings, monitored.at, monitored.since
    return triggered(found, deeds, plan, now, since=since, under_way=under_way)


def _end(deeds: Sequence[Monitoring]) -> Monitoring | None:
    """Return how the newest retraining ended; None where it was broken off."""
    return deeds[-1] if deeds and deeds[-1].action in ENDS else None


def last_look(project: Project, plan: MonitorPlan) -> float:
    """Return when the model was last looked at, in seconds since 1970; 0.0 if never.

    Raises:
        UsageError: the plan names no model, and there is not one alone.
    """
    last = Monitorings(project).history(monitored_model(project, plan), last=1)
    return last[0].at if last else 0.0


def monitored_model(project: Project, plan: MonitorPlan) -> str:
    """Return the model that a plan is about: the one that it names, or the only one there is.

    Raises:
        UsageError: the plan names none, and there is not one alone.
    """
    models = Registry(project).models()
    if plan.model or len(models) == 1:
        return plan.model or models[0]
    listed = ", ".join(models) or "none is registered"
    raise UsageError(
        "expected the model that is monitored, found none named",
        where="gristmill.toml, [monitor]",
        fix=f'say model = "NAME"; known models: {listed}',
    )
