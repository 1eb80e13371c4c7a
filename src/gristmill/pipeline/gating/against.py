"""A candidate against one incumbent, on the same rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gristmill.core.paired import CLASS_METRICS, gain, mcnemar, right_alone
from gristmill.pipeline.gating.ruling import Ruling

if TYPE_CHECKING:
    from gristmill.core.intervals import Interval
    from gristmill.pipeline.gating.contender import Contender
    from gristmill.pipeline.gating.evidence import Evidence
    from gristmill.pipeline.gating.policy import Policy
    from gristmill.pipeline.gating.verdict import Answer


def rule_against(
    candidate: Contender, incumbent: Contender, policy: Policy, evidence: Evidence
) -> Ruling:
    """Compare on all rows, paired: better beyond the interval, within it, or worse?"""
    mine, theirs = evidence.answers(candidate), evidence.answers(incumbent)
    ahead = gain(policy.metric, evidence.truth, mine, theirs, evidence.positive, level=policy.level)
    figures: dict[str, Any] = {
        "incumbent": incumbent.name,
        "metric": policy.metric,
        "gain": asdict(ahead),
    }
    shown = f"{policy.metric}: {told(ahead)} against {incumbent.name}"
    if policy.metric in CLASS_METRICS:
        alone = right_alone(evidence.truth, mine, theirs)
        chance = mcnemar(*alone)
        figures |= {"right_alone": list(alone), "mcnemar": chance}
        shown += (
            f"; right alone on {alone[0]:,} rows, {incumbent.name} on {alone[1]:,} "
            f"(McNemar p {_p(chance)})"
        )
    answer, why = _answer(ahead, policy)
    return Ruling(answer, f"{shown}: {why}", figures)


def told(ahead: Interval) -> str:
    """Print a gain with its interval; above 0 is better, whatever the metric."""
    return f"gain {ahead.value:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}]"


def _answer(ahead: Interval, policy: Policy) -> tuple[Answer, str]:
    needed = f"needs more than {policy.min_gain:+.4f}"
    if ahead.high <= policy.min_gain and ahead.high < 0:
        return "reject", f"worse, {needed}"
    if ahead.low > policy.min_gain:
        return "promote", "better beyond the interval"
    if not policy.beyond_interval and ahead.value > policy.min_gain:
        return "promote", "better, within the interval"
    if ahead.high <= policy.min_gain:
        return "hold", f"not better by the margin, {needed}"
    return "hold", f"not shown to be better, {needed}"


def _p(chance: float) -> str:
    return "< 0.001" if chance < 0.001 else f"{chance:.3f}"
