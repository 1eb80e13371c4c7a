"""JUnit XML: valid, complete, readable back."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gristmill.validate.checks.findings import Evidence, Finding
from gristmill.validate.checks.junit import to_junit
from gristmill.validate.checks.report import Report
from gristmill.validate.drifts.drift import Drift
from gristmill.validate.schemas.edit import Edit


def _report(text: str = "") -> Report:
    edit = Edit("age", "max", 90, 120)
    findings = [
        Finding(
            "out_of_range", "error", "age", f"1 above {text}", Evidence(1, 9, (4,), ("99",)), edit
        ),
        Finding("out_of_range", "error", "age", "2 below"),
        Finding("new_column", "warning", f"city{text}", "unknown"),
        Finding("reading_note", "info", None, "a mark was dropped"),
    ]
    drift = Drift("pay", "values", 0.0, 0.1, 0.1, 9, 9, ["a"], [1.0], [1.0])
    return Report("data", 9, findings, [drift])


def _parsed(document: str) -> ElementTree.Element:
    suite = ElementTree.fromstring(document.encode()).find("testsuite")
    assert suite is not None
    return suite


def test_a_case_for_each_feature_and_code_then_those_that_are_sound() -> None:
    suite = _parsed(to_junit(_report(), suite="taxi"))
    names = [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")]
    assert names == [
        ("taxi.age", "age: out_of_range"),
        ("taxi.city", "city: new_column"),
        ("taxi.(table)", "(table): reading_note"),
        ("taxi.pay", "pay: checks"),
    ]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "0", "skipped": "1"}


def test_errors_fail_warnings_are_skipped_notes_are_output() -> None:
    cases = list(_parsed(to_junit(_report())).iter("testcase"))
    tags = [[child.tag for child in case] for case in cases]
    assert tags == [["failure"], ["skipped", "system-out"], ["system-out"], []]
    failure = cases[0][0]
    assert failure.get("message") == "1 above ; 2 below"
    assert failure.get("type") == "out_of_range"
    assert failure.text is not None
    assert "rows: 4" in failure.text
    assert "values: 99" in failure.text
    assert "to accept: [features.age] max = 120 (was 90)" in failure.text


def test_features_that_were_checked_may_be_named() -> None:
    suite = _parsed(to_junit(Report("data", 3, []), features=["a", "b"], seconds=1.5))
    assert [case.get("name") for case in suite.iter("testcase")] == [
        "(table): checks",
        "a: checks",
        "b: checks",
    ]
    assert suite.get("time") == "1.500"
    assert suite.get("failures") == "0"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x00\x1b[31m", r"\u0000\u001b[31m"),
        ("\ud800", r"\ud800"),
        ("\ufffe\x85", r"\ufffe\u0085"),
        ("]]></failure><!--", "]]></failure><!--"),
        ("\"&<>'", "\"&<>'"),
        ("\U0001f600 é", "\U0001f600 é"),
    ],
)
def test_any_text_reads_back(text: str, shown: str) -> None:
    suite = _parsed(to_junit(_report(text), suite=text))
    case = next(iter(suite.iter("testcase")))
    assert case[0].get("message") == f"1 above {shown}; 2 below"
    assert suite.get("name") == shown


def test_long_text_is_cut() -> None:
    document = to_junit(_report("x" * 100_000))
    assert len(document) < 30_000
