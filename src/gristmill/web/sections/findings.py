"""Findings: what is wrong with the data, errors first."""

from __future__ import annotations

from collections import Counter

from gristmill.core.quantities import many
from gristmill.web.blocks import SEVERITIES
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import Records, as_records


def findings_section(
    report: Report, findings: Records, *, title: str = "Findings", lead: str = ""
) -> Section:
    """Add findings with their count by severity.

    Args:
        report: where to add.
        findings: the keys of `gristmill.web.blocks.findings`.
        title: heading.
        lead: the sentence under it; the counts by default.
    """
    items = as_records(findings, "findings")
    counts = Counter(str(item.get("severity") or "info").lower() for item in items)
    order = [*SEVERITIES, *sorted(set(counts) - set(SEVERITIES))]
    counted = ", ".join(
        many(counts[name], "note" if name == "info" else name) for name in order if counts[name]
    )
    return report.section(title, lead or (f"{counted}." if counted else "")).findings(items)
