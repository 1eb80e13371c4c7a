"""The gate: a pure function with reasons.

(candidate, incumbents, policy, evidence)  ->  promote | hold | reject, and why

All are compared on the same rows. What is asked, in this order:

    checks that failed                        reject
    a candidate that gave no answers, or      reject
      such as are no numbers or classes
    requests that it would refuse             hold, unless the policy allows it
    too few rows, or none of a class          hold
    below the floor                           reject
    each incumbent, paired                    better beyond the interval? within it? worse?
    each slice                                surely loses more than it may: reject

The worst answer counts, and all reasons that lead to it are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gristmill.core.paired import unusable
from gristmill.pipeline.gating.against import rule_against
from gristmill.pipeline.gating.contender import Contender, broken_requests
from gristmill.pipeline.gating.policy import Policy
from gristmill.pipeline.gating.ruling import Ruling
from gristmill.pipeline.gating.slice_votes import slice_votes
from gristmill.pipeline.gating.verdict import FROM_WORST, Answer, Verdict

if TYPE_CHECKING:
    from gristmill.pipeline.gating.evidence import Evidence

_ALWAYS = "always the same answer"


def judge(
    candidate: Contender,
    incumbents: Sequence[Contender],
    evidence: Evidence,
    policy: Policy | None = None,
    *,
    failures: Sequence[str] = (),
) -> Verdict:
    """Judge a candidate.

    Args:
        candidate: the model that would answer.
        incumbents: those that it has to beat; none for a first model, which has to beat always
            answering the same.
        evidence: the rows, their truth and their slices.
        policy: what has to be shown.
        failures: sentences about other checks that failed, as a rehearsal; each one rejects.

    Raises:
        DataError: a contender that can be run has answers to other rows than the evidence's.
    """
    rules = policy or Policy()
    candidate = _heard(candidate, rules)
    incumbents = [_heard(each, rules) for each in incumbents]
    notes = [evidence.base_rate(rules.metric)]
    record = {
        "metric": rules.metric,
        "positive": evidence.positive,
        "rows": evidence.rows,
        "data": evidence.data,
    }
    early = _unfit(candidate, incumbents, rules, evidence, failures)
    if early is not None:
        return Verdict(early.answer, [early.reason], candidate.name, notes, record)
    figure = evidence.figure(rules.metric, candidate)
    record["figure"] = figure
    shown = f"{rules.metric} {figure:.4f} on {evidence.rows:,} rows"
    if rules.floor is not None:
        word = "ceiling" if rules.smaller_is_better else "floor"
        shown += f", {word} {rules.floor:g}"
    if not rules.reaches_floor(figure):
        return Verdict("reject", [f"{shown}: not reached"], candidate.name, notes, record)
    rulings = list(_comparisons(candidate, incumbents, rules, evidence, notes))
    answer = _worst(rulings)
    record["comparisons"] = [ruling.figures for ruling in rulings]
    reasons = [shown, *(ruling.reason for ruling in rulings if ruling.answer == answer)]
    return Verdict(answer, reasons, candidate.name, notes, record)


def _heard(contender: Contender, rules: Policy) -> Contender:
    """Return a contender; one whose answers are none of the metric's kind has none."""
    wrong = "" if contender.answers is None else unusable(rules.metric, contender.answers)
    return (
        replace(contender, answers=None, failure=f"of its answers {wrong}") if wrong else contender
    )


def _unfit(
    candidate: Contender,
    incumbents: Sequence[Contender],
    rules: Policy,
    evidence: Evidence,
    failures: Sequence[str],
) -> Ruling | None:
    """Say why figures need not be looked at, if so."""
    if failures:
        return Ruling("reject", "; ".join(failures), {})
    if candidate.answers is None:
        why = candidate.failure or "it gave no answers"
        return Ruling("reject", f"the candidate cannot be run: {why}", {})
    if rules.schema_changes == "hold":
        for incumbent in incumbents:
            broken = broken_requests(candidate, incumbent)
            if broken:
                said = f"requests that {incumbent.name} answers would be refused: "
                return Ruling("hold", f"{said}{candidate.name} {'; '.join(broken)}", {})
    if evidence.rows < rules.min_rows:
        short = f"{evidence.rows:,} rows of evidence, the policy asks for {rules.min_rows:,}"
        return Ruling("hold", short, {})
    missing = evidence.missing_class(rules.metric)
    return Ruling("hold", f"{missing}: {rules.metric} says nothing", {}) if missing else None


def _comparisons(
    candidate: Contender,
    incumbents: Sequence[Contender],
    rules: Policy,
    evidence: Evidence,
    notes: list[str],
) -> Iterator[Ruling]:
    """Yield what each comparison says; what doesn't decide goes to the notes."""
    runnable = [each for each in incumbents if each.answers is not None]
    for incumbent in incumbents:
        if incumbent.answers is None:
            gone = f"{incumbent.name} can no longer be run ({incumbent.failure or 'no reason'})"
            if rules.without_incumbent == "hold":
                yield Ruling("hold", f"{gone}: nothing to compare with", {})
            else:
                notes.append(f"{gone}: judged without it")
    if not runnable:
        if not incumbents:
            notes.append("the first model: there is none to compare with")
        constant = Contender(_ALWAYS, evidence.always(rules.metric))
        yield rule_against(candidate, constant, rules, evidence)
    for incumbent in runnable:
        yield rule_against(candidate, incumbent, rules, evidence)
        votes = slice_votes(candidate, incumbent, rules, evidence)
        yield from votes.vetoes
        notes += votes.notes


def _worst(rulings: Sequence[Ruling]) -> Answer:
    said = {ruling.answer for ruling in rulings}
    return next(answer for answer in FROM_WORST if answer in said or answer == "promote")
