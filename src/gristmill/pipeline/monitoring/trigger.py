"""What is done about findings: a pure function with reasons.

(findings, history, plan, now, since)  ->  none | wait | retrain, and why

Asked in this order:

    a retraining is under way                      wait
    nothing that newer data cure                   none
    the plan says to tell alone                    none
    a fault of the data                            wait: a model must not learn it
    the budget is used up                          wait
    the cool-down lasts                            wait, unless a retraining was broken off, once
    the last ones for the same came to nothing     wait twice as long, four times, ...
    only drift calls, of a version that has not    wait: nights are unlike the days that it
    yet answered for all of the hours compared     learned from
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gristmill.core.moments import format_moment
from gristmill.pipeline.monitoring.budget import Budget
from gristmill.pipeline.monitoring.codes import OF_HOURS
from gristmill.store.monitorings import ENDS, Monitoring

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.validate.checks.findings import Finding

_Key = tuple[str, str | None]
"""Code and column of a finding."""
_CLOCKS_DIFFER = 3600.0


@dataclass(frozen=True)
class Action:
    """What is done about findings.

    Attributes:
        kind: `none`; `wait`, where something speaks against a retraining that is called for; or
            `retrain`.
        reasons: one sentence each.
        findings: those that call for it.
    """

    kind: Literal["none", "wait", "retrain"]
    reasons: list[str]
    findings: Sequence[Finding] = ()


def triggered(
    findings: Sequence[Finding],
    history: Sequence[Monitoring],
    plan: MonitorPlan,
    now: float,
    *,
    since: float = 0.0,
    under_way: bool = False,
) -> Action:
    """Decide what is done about findings.

    Args:
        findings: what was found.
        history: the log of the model, oldest first; lines of retrainings suffice. Those of more
            than an hour ahead were written by a clock that was wrong and do not count: else
            nothing would be retrained until that time comes.
        plan: what calls for a retraining, and how often there may be one.
        now: seconds since 1970.
        since: when the version began to answer, in seconds since 1970; by default long ago. If a
            clock was wrong, so that this is more than an hour ahead, it does not count either.
        under_way: whether a retraining is running.
    """
    if under_way:
        return Action("wait", ["a retraining is under way"])
    calling = [each for each in findings if each.code in plan.retrain_on]
    if not calling:
        return Action("none", ["nothing calls for a retraining"])
    named = ", ".join(dict.fromkeys(_named(each) for each in calling))
    history = [each for each in history if each.at <= now + _CLOCKS_DIFFER]
    if plan.on_drift == "tell":
        return Action("none", [f'{named}: told, as on_drift is "tell"'], calling)
    against = (
        _fault(findings, plan)
        or _spent(history, plan, now)
        or _cooling(history, plan, now)
        or _in_vain(calling, history, plan, now)
        or _too_new(calling, plan, now, since)
    )
    if against:
        return Action("wait", [f"{named}: {against}"], calling)
    reasons = [named]
    if _goes_on(history):
        reasons.append("the last retraining was broken off: it goes on")
    return Action("retrain", reasons, calling)


def _fault(findings: Sequence[Finding], plan: MonitorPlan) -> str:
    faults = [each for each in findings if each.code in plan.hold_on]
    if not faults:
        return ""
    named = ", ".join(dict.fromkeys(_named(each) for each in faults))
    return f"not while there is a fault that would be learned ({named})"


def _spent(history: Sequence[Monitoring], plan: MonitorPlan, now: float) -> str:
    budget = Budget.parse(plan.budget)
    begun = [each.at for each in _begun(history) if each.at > now - budget.seconds]
    if len(begun) < budget.runs:
        return ""
    if not budget.runs:
        return "the budget allows none"
    again = format_moment(begun[-budget.runs] + budget.seconds)
    return f"the budget of {plan.budget} is used up until {again}"


def _cooling(history: Sequence[Monitoring], plan: MonitorPlan, now: float) -> str:
    last = _last(history)
    until = 0.0 if last is None else last.at + (plan.seconds("cool_down") or 0.0)
    if _goes_on(history) or now >= until:
        return ""
    return f"cooling down until {format_moment(until)}"


def _in_vain(
    calling: Sequence[Finding], history: Sequence[Monitoring], plan: MonitorPlan, now: float
) -> str:
    """Say until when to wait where retrainings for the same findings have come to nothing."""
    ends = [each for each in history if each.action in ENDS]
    vain = 0
    for each in reversed(ends):
        if each.action == "promoted":
            break
        vain += 1
    if not vain or _goes_on(history):
        return ""
    tried = {_key(each) for end in ends[-vain:] for each in end.findings}
    if any((each.code, each.feature) not in tried for each in calling):
        return ""
    until = ends[-1].at + (plan.seconds("cool_down") or 0.0) * 2**vain
    if now >= until:
        return ""
    times = "retraining" if vain == 1 else f"{vain} retrainings"
    return f"the last {times} for it came to nothing, so not before {format_moment(until)}"


def _too_new(calling: Sequence[Finding], plan: MonitorPlan, now: float, since: float) -> str:
    """Say until when to wait where not all hours of the comparison are the version's yet."""
    until = since + 3600.0 * plan.hours
    if since > now + _CLOCKS_DIFFER or now >= until:
        return ""
    if any(each.code not in OF_HOURS for each in calling):
        return ""
    return (
        f"the version has answered since {format_moment(since)}, which is less than the "
        f"{plan.hours} hours that are compared, so not before {format_moment(until)}"
    )


def _begun(history: Sequence[Monitoring]) -> list[Monitoring]:
    return [each for each in history if each.action == "retrain"]


def _last(history: Sequence[Monitoring]) -> Monitoring | None:
    """Return the newest line of a retraining: its begin or its end."""
    lines = [each for each in history if each.action in ("retrain", *ENDS)]
    return lines[-1] if lines else None


def _goes_on(history: Sequence[Monitoring]) -> bool:
    """Tell whether the last retraining never ended, and was itself no second attempt."""
    lines = [each.action for each in history if each.action in ("retrain", *ENDS)]
    return lines[-1:] == ["retrain"] and lines[-2:] != ["retrain", "retrain"]


def _key(recorded: dict[str, object]) -> _Key:
    feature = recorded.get("feature")
    return str(recorded.get("code")), None if feature is None else str(feature)


def _named(each: Finding) -> str:
    return each.code if each.feature is None else f"{each.code} of {each.feature}"
