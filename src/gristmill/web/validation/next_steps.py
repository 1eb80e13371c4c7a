"""What to do next: the few steps that a report's findings call for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.quantities import many

if TYPE_CHECKING:
    from gristmill.validate.checks.report import Report

_GONE = frozenset({"missing_column", "new_column", "wrong_type", "swapped_columns"})
_MOVED = frozenset({"drift", "presence_change", "unit_change", "broken_correlation"})


def next_steps(report: Report, saved_as: str | Path | None = None) -> list[str]:
    """Say what a person would do now, in the order of doing it; `code` stands in backticks."""
    if not report.findings:
        return []
    steps = [_look(report)]
    if report.rows.height:
        steps.append(
            f"Go on without the {many(report.rows.height, 'bad row')}: "
            "`good, bad = quarantine(table, report)` parts them and keeps the reasons."
        )
    if report.edits:
        steps.append(
            f"Where the data is right and the schema is not, accept what is proposed "
            f"({many(len(report.edits), 'edit')}): `gristmill validate accept "
            f"{saved_as or 'REPORT'}` shows the diff first."
        )
    return steps


def _look(report: Report) -> str:
    codes = {finding.code for finding in report.findings if finding.severity == "error"}
    if not codes:
        return "Nothing stops the data; read the warnings below once."
    if codes & _GONE:
        return "Ask where the data comes from first: columns have gone, come or changed their type."
    if codes & _MOVED and codes <= _MOVED:
        return "Every cell is well-formed, but the distribution has moved: find out why before use."
    return "Mend the errors below where the data is made, then check again."
