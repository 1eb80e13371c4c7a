"""JUnit XML: a report as the test results that CI systems show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from gristmill.validate.checks.report import evidence_lines

if TYPE_CHECKING:
    from gristmill.validate.checks.findings import Finding
    from gristmill.validate.checks.report import Report

SUITE = "gristmill.validate"
TABLE = "(table)"
_NAME_LIMIT = 200
_TEXT_LIMIT = 4000
# What XML 1.0 allows (section 2.2), less the C1 controls, which it discourages.
_FORBIDDEN = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(
    report: Report, *, suite: str = SUITE, features: Iterable[str] = (), seconds: float = 0.0
) -> str:
    """Write a report as JUnit XML: one test case for each feature and finding code.

    An error is a failure. A warning is a skipped test with its message, which CI systems show
    without failing the run; a note goes to the test's output. A feature without findings is one
    test case that passed. Control characters show as their escapes.

    Args:
        report: what `check` returned.
        suite: the name of the test suite, such as the name of the data.
        features: the features that were checked; those of the report's statistics, or of its
            distances and findings, by default.
        seconds: how long the check took.
    """
    cases = _grouped(report, features)
    codes = [_worst(found) for _, _, found in cases]
    figures = {
        "name": _fit(suite, _NAME_LIMIT),
        "tests": str(len(cases)),
        "failures": str(codes.count("error")),
        "errors": "0",
        "skipped": str(codes.count("warning")),
        "time": f"{seconds:.3f}",
    }
    root = ElementTree.Element("testsuites", figures)
    node = ElementTree.SubElement(root, "testsuite", figures)
    properties = ElementTree.SubElement(node, "properties")
    for name, value in (("verdict", report.verdict), ("rows", str(report.checked_rows))):
        ElementTree.SubElement(properties, "property", name=name, value=_fit(value, _TEXT_LIMIT))
    for feature, code, found in cases:
        _add_case(node, suite, feature, code, found)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ['<?xml version="1.0" encoding="UTF-8"?>\n', "\n"]
    )


def _grouped(report: Report, features: Iterable[str]) -> list[tuple[str, str, list[Finding]]]:
    """Return (feature, code, findings) in the order of the findings; then what is sound."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        place = TABLE if finding.feature is None else finding.feature
        found.setdefault((place, finding.code), []).append(finding)
    told = {place for place, _ in found}
    known = list(features) or list(report.current.features if report.current is not None else ())
    sound = dict.fromkeys([TABLE, *known, *(drift.feature for drift in report.drift)])
    cases = [(place, code, findings) for (place, code), findings in found.items()]
    return [*cases, *((place, "checks", []) for place in sound if place not in told)]


def _worst(findings: Sequence[Finding]) -> str:
    severities = {finding.severity for finding in findings}
    return next((one for one in ("error", "warning", "info") if one in severities), "")


def _add_case(
    suite: ElementTree.Element, name: str, feature: str, code: str, found: Sequence[Finding]
) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_fit(f"{name}.{feature}", _NAME_LIMIT),
        name=_fit(f"{feature}: {code}", _NAME_LIMIT),
        time="0.000",
    )
    if not found:
        return
    message = _fit("; ".join(finding.message for finding in found), _TEXT_LIMIT)
    body = _fit("\n".join(line for one in found for line in _body(one)), _TEXT_LIMIT)
    severity = _worst(found)
    if severity == "error":
        ElementTree.SubElement(case, "failure", message=message, type=code).text = body
    elif severity == "warning":
        ElementTree.SubElement(case, "skipped", message=message)
    if severity != "error":
        ElementTree.SubElement(case, "system-out").text = body


def _body(finding: Finding) -> list[str]:
    lines = [finding.message, *evidence_lines(finding)]
    if finding.evidence.examples:
        lines.append(f"values: {', '.join(finding.evidence.examples)}")
    return lines


def _fit(text: str, limit: int) -> str:
    """Escape what XML forbids and cut what is too long."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return _FORBIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", cut)
