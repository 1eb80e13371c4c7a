"""Gathering findings and the reasons of bad rows into a report."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from gristmill.validate.checks.findings import SEVERITIES, Evidence, Finding
from gristmill.validate.checks.observe import first_rows
from gristmill.validate.checks.report import Report, bad_rows, by_severity, no_rows
from gristmill.validate.checks.rules import Draft
from gristmill.validate.checks.subject import Subject
from gristmill.validate.drifts.drift import Drift
from gristmill.validate.schemas.schema import Schema


@dataclass
class Collector:
    """Turns drafts into findings and gathers the reasons of bad rows."""

    schema: Schema
    ids: pl.Series | None
    findings: list[Finding] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    masks: list[tuple[str, pl.Series]] = field(default_factory=list)

    def add(self, feature: str | None, draft: Draft, distribution: Drift | None = None) -> None:
        """Turn a draft into a finding, and remember its rows."""
        seen = draft.seen
        rows = first_rows(seen.mask, self.ids)
        where = f" (row {rows[0]})" if seen.count == 1 and rows else ""
        examples = f": {seen.examples[0]}" if draft.code == "wrong_type" and seen.examples else ""
        evidence = Evidence(seen.count, seen.total, rows, seen.examples, seen.exact, distribution)
        severity = self.schema.severity.get(draft.code, SEVERITIES[draft.code])
        message = f"{draft.message}{examples}{where}"
        self.findings.append(Finding(draft.code, severity, feature, message, evidence, draft.edit))
        if seen.mask is not None and severity != "info":
            self.masks.append((f"{draft.code}: {feature}" if feature else draft.code, seen.mask))

    def bad_cells(self, feature: str, codes: tuple[str, ...]) -> int:
        """How many cells of a feature the findings of these codes are about, at most."""
        found = [f for f in self.findings if f.feature == feature and f.code in codes]
        return sum(finding.evidence.count for finding in found)

    def report(self, subject: Subject) -> Report:
        """Put everything together."""
        rows = no_rows() if self.ids is None else _reasons(self.masks, self.ids)
        found = by_severity(self.findings)
        name, count, lines = subject.name, subject.rows, subject.unreadable
        return Report(name, count, found, self.drift, rows, lines)


def _reasons(masks: list[tuple[str, pl.Series]], ids: pl.Series) -> pl.DataFrame:
    """Gather the reasons of every row that any mask holds, in table order."""
    reasons: dict[int, list[str]] = {}
    for reason, mask in masks:
        for place in mask.arg_true().to_list():
            reasons.setdefault(place, []).append(reason)
    places = sorted(reasons)
    return bad_rows(ids.gather(places).to_list(), [reasons[place] for place in places])
