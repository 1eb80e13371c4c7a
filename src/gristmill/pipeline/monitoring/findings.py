"""Findings of monitoring, in the form of those of validation."""

from __future__ import annotations

from gristmill.pipeline.monitoring.codes import MONITORED
from gristmill.validate.checks.findings import Evidence, Finding


def finding(
    code: str,
    message: str,
    count: int = 0,
    total: int = 0,
    *,
    feature: str | None = None,
    fix: str = "",
) -> Finding:
    """Return a finding of monitoring with the severity of its code."""
    return Finding(
        code, MONITORED[code], feature, message, Evidence(count=count, total=total), fix=fix
    )
