"""Registering a bundle and making it the one that answers, with what was found on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.core.errors import GateError, UsageError
from gristmill.core.moments import format_moment
from gristmill.pipeline.releasing.rehearsal import Rehearsal, rehearse
from gristmill.pipeline.releasing.stored_request import StoredRequest, made_up_requests
from gristmill.serve.routing.registry_watcher import registered_bundle
from gristmill.store.bundle import Bundle
from gristmill.store.decision import CHAMPION, Decision, named_at
from gristmill.store.project import Project, current_project
from gristmill.store.registry import ModelVersion, Registry
from gristmill.store.runs import RunLog

if TYPE_CHECKING:
    from gristmill.pipeline.gating.verdict import Verdict

_REFUSALS = ("hold", "reject")


def release(
    bundle: Bundle,
    verdict: Verdict,
    model: str,
    *,
    alias: str = CHAMPION,
    requests: Sequence[StoredRequest] | None = None,
    latency: float | None = None,
    author: str = "gate",
) -> Decision:
    """Register a bundle in the project whose pipeline runs, and do what the gate said.

    A bundle that the gate promotes is rehearsed first; if that fails, it is rejected. One that a
    person has rolled back is held: a gate that asks the same again must not undo what they did.
    Whatever comes of it is one line in the log of the model; if that line is the last word on the
    alias already (the step was killed, and runs again), it stays the only one. A bundle that
    answers already, and is not rejected, is no news: it keeps the decision by which it does.

    Args:
        bundle: the candidate.
        verdict: what the gate said of it.
        model: the name under which it is registered.
        alias: what is to name it.
        requests: stored requests for the rehearsal; by default made up from the signature.
        latency: seconds within which 99 % of the good ones must be answered.
        author: who is put down as having decided.

    Raises:
        UsageError: no pipeline runs, so that there is no project.
    """
    project = current_project()
    if project is None:
        raise UsageError(
            "there is no project to release into",
            fix="call it in a step of a pipeline, or within `with using(Project(folder)):`",
        )
    registry = Registry(project)
    version = registry.register(model, RunLog(project).keep(bundle).digest).version
    answer, reasons, evidence = verdict.verdict, list(verdict.reasons), dict(verdict.evidence)
    log = registry.history(model)
    live = named_at(log).get(alias)
    if live is not None and live.version == version and answer != "reject":
        return live
    taken_back = _taken_back(log, version, alias)
    if answer == "promote" and taken_back is not None:
        answer = "hold"
        reasons.append(
            f"it was rolled back by {taken_back.author} on {format_moment(taken_back.at)} "
            f"({taken_back.reasons[0]}): only `gristmill promote --force` makes it answer again"
        )
    told = registry.standing(model, version, answer, reasons, alias=alias, evidence=evidence)
    if told is not None:
        return told
    if answer == "promote":
        rehearsal = _rehearsed(bundle, requests, latency)
        evidence["rehearsal"] = msgspec.to_builtins(rehearsal)
        if not rehearsal.passed:
            answer, reasons = "reject", rehearsal.failures
    return registry.decide(
        model, version, answer, reasons, author=author, alias=alias, evidence=evidence
    )


def _taken_back(log: Sequence[Decision], version: int, alias: str) -> Decision | None:
    """Return the rollback from a version, unless it was promoted again since."""
    for entry in reversed(log):
        if entry.alias == alias and entry.moved:
            if entry.version == version:
                return None
            if entry.verdict == "rollback" and entry.replaced == version:
                return entry
    return None


def promote(
    project: Project,
    model: str,
    version: int,
    *,
    alias: str = CHAMPION,
    reason: str = "",
    author: str = "",
    force: bool = False,
    requests: Sequence[StoredRequest] | None = None,
    latency: float | None = None,
) -> Decision:
    """Make an alias name a registered version, by hand.

    What the gate last said of the version has to be `promote`, or nothing, and the version has to
    pass its rehearsal. `force` promotes it all the same; the log says so, and what spoke against.

    Args:
        project: whose registry.
        model: the model's name.
        version: its number.
        alias: what is to name it.
        reason: why, for the log.
        author: who decides; by default the user of this process.
        force: whether objections only go on record. Needs a reason.
        requests: stored requests for the rehearsal; by default made up from the signature.
        latency: seconds within which 99 % of the good ones must be answered.

    Raises:
        UsageError: there is no such version, or `force` comes without a reason.
        GateError: something speaks against it, and it is not forced.
    """
    registry = Registry(project)
    known = registry.version(model, version)
    if force and not reason:
        raise UsageError("a forced promotion needs a reason", fix="say why, for the log")
    objections, evidence = _objections(project, registry, known, alias, requests, latency)
    if objections and not force:
        raise GateError(
            f"version {version} of {model!r} is not promoted: {'; '.join(objections)}",
            fix="promote it all the same with --force and --reason; the log will say so",
        )
    reasons = [reason or "by hand", *(f"forced against: {said}" for said in objections)]
    return registry.decide(
        model,
        version,
        "promote",
        reasons,
        author=author,
        alias=alias,
        forced=bool(objections),
        evidence=evidence,
    )


def _objections(
    project: Project,
    registry: Registry,
    version: ModelVersion,
    alias: str,
    requests: Sequence[StoredRequest] | None,
    latency: float | None,
) -> tuple[list[str], dict[str, Any]]:
    """Return what speaks against a version: what the gate said of it last, and its rehearsal."""
    said = [
        entry
        for entry in registry.history(version.model)
        if entry.version == version.version and entry.alias == alias
    ]
    objections = []
    if said and said[-1].verdict in _REFUSALS:
        objections.append(f"{said[-1].author} said {said[-1].verdict}: {said[-1].reasons[-1]}")
    rehearsal = _rehearsed(registered_bundle(project, version), requests, latency)
    return objections + rehearsal.failures, {"rehearsal": msgspec.to_builtins(rehearsal)}


def _rehearsed(
    bundle: Bundle, requests: Sequence[StoredRequest] | None, latency: float | None
) -> Rehearsal:
    asked = made_up_requests(bundle) if requests is None else requests
    return rehearse(bundle.folder, asked, latency=latency)
