"""Gathering findings and the reasons of bad rows into a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from gristmill.data.table import ROW_ID
from gristmill.validate.checks.findings import SEVERITIES, SHOWN_ROWS, Evidence, Finding
from gristmill.validate.checks.places import Places, gather_reasons
from gristmill.validate.checks.report import ORDER, REASONS, no_rows, ranked
from gristmill.validate.checks.rule import Draft
from gristmill.validate.drifts.drift import Drift
from gristmill.validate.schemas.feature_spec import Severity
from gristmill.validate.schemas.schema import Schema

_MOST = 0.5


@dataclass
class Collector:
    """Turns drafts into findings and gathers the reasons of bad rows."""

    schema: Schema
    findings: list[Finding] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    features: dict[str | None, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    reasons: list[tuple[str, Places]] = field(default_factory=list)

    def add(self, feature: str | None, draft: Draft, distribution: Drift | None = None) -> None:
        """Turn a draft into a finding, and remember its rows."""
        seen = draft.seen
        rows = seen.places.first(SHOWN_ROWS)
        where = f" (row {rows[0]})" if seen.count == 1 and rows else ""
        evidence = Evidence(seen.count, seen.total, rows, seen.examples, seen.exact, distribution)
        severity = self._severity(feature, draft)
        message = f"{draft.message}{where}"
        finding = Finding(draft.code, severity, feature, message, evidence, draft.edit)
        self.findings.append(finding)
        self.features[feature].append(finding)
        if seen.places.count and severity != "info":
            self.reasons.append(
                (f"{draft.code}: {feature}" if feature else draft.code, seen.places)
            )

    def add_all(self, feature: str | None, drafts: Iterable[Draft]) -> None:
        """Add several drafts of one feature."""
        for draft in drafts:
            self.add(feature, draft)

    def absorb(self, feature: str, codes: tuple[str, ...]) -> None:
        """Drop findings of most cells of a feature that its last finding explains.

        Their rows stay bad, and a finding more severe than the one that explains it stays.
        """
        *earlier, last = self.features[feature]
        for finding in earlier:
            explained = finding.code in codes and finding.evidence.share > _MOST
            if explained and ORDER[finding.severity] >= ORDER[last.severity]:
                self.features[feature].remove(finding)
                self.findings.remove(finding)

    def _severity(self, feature: str | None, draft: Draft) -> Severity:
        """The feature's own severity of a code, else the schema's, else the usual one."""
        spec = self.schema.features.get(feature) if feature is not None else None
        usual = draft.severity or SEVERITIES[draft.code]
        usual = self.schema.severity.get(draft.code, usual)
        return usual if spec is None else spec.severity.get(draft.code, usual)

    def codes(self, feature: str | None) -> set[str]:
        """The codes of the findings of a feature."""
        return {finding.code for finding in self.features.get(feature, ())}

    def bad_cells(self, feature: str, codes: tuple[str, ...]) -> int:
        """How many cells of a feature the findings of these codes are about, at most."""
        found = self.features.get(feature, ())
        return sum(finding.evidence.count for finding in found if finding.code in codes)

    def ranked(self) -> list[Finding]:
        """The findings, the worst first."""
        return ranked(self.findings)

    def rows(self) -> pl.DataFrame:
        """The bad rows with their reasons, in table order."""
        if not self.reasons:
            return no_rows()
        ids, reasons = gather_reasons(self.reasons)
        return pl.DataFrame([ids.alias(ROW_ID), reasons.alias(REASONS)])
