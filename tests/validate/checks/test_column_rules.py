"""The rules of columns against a plain loop over rows, in parts of any size."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.validate import Evidence, FeatureSpec, Finding, Schema, TableSpec

InParts = Callable[[Schema, pl.DataFrame, int], tuple[list[Finding], pl.DataFrame]]
Check = Callable[[Any], bool]

NULL_WORDS = {"na", "null", "nan", "?", "none"}
TEXTS = ["1", "2", " 3", "7", "9", "-4", "20", "2.0", "2.5", "", "7h", "NA", "null", "?",
         "9223372036854775808", "9223372036854775807"]  # fmt: skip
WORDS = ["", "a", "bb", "ccc", "A1", "B2", "caf\u00c3\u00a9 x", "dddddd"]
FLOATS = [0.0, 1.5, -2.0, 7.0, 100.0, math.nan, math.inf, -math.inf, None]


def _settings(examples: int) -> settings:
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=examples, deadline=None, suppress_health_check=quiet)


def _exact(spec: FeatureSpec) -> Schema:
    return Schema(features={"x": spec}, table=TableSpec(exact=True))


def _expected(cells: list[Any], breaks: Check, total: int) -> Evidence | None:
    """Count row by row: how many, of how many, the first rows, the first values."""
    rows = [row for row, cell in enumerate(cells) if breaks(cell)]
    if not rows:
        return None
    values = dict.fromkeys(_spelled(cells[row]) for row in rows)
    return Evidence(len(rows), total, tuple(rows[:20]), tuple(values)[:5])


def _spelled(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _found(findings: list[Finding], code: str, says: str = "") -> Evidence | None:
    mine = [f for f in findings if f.code == code and says in f.message]
    assert len(mine) <= 1
    return mine[0].evidence if mine else None


def _as_int(text: str | None) -> int | str | None:
    """An int, None for missing, or what is wrong: "overflow", "null", "type"."""
    stripped = (text or "").strip()
    if not stripped:
        return None
    if re.fullmatch(r"[+-]?\d+(\.0+)?", stripped):
        number = int(stripped.partition(".")[0])
        return number if -(2**63) < number < 2**63 - 1 else "overflow"
    return "null" if stripped.casefold() in NULL_WORDS else "type"


@_settings(60)
@given(st.lists(st.sampled_from([*TEXTS, None]), min_size=1, max_size=30), st.integers(1, 31))
def test_integers_in_text(check_in_parts: InParts, texts: list[str | None], rows: int) -> None:
    spec = FeatureSpec(type="int", min_present=1.0, min=1, max=9, order="ascending", unique=True)
    findings, bad = check_in_parts(_exact(spec), pl.DataFrame({"x": texts}, {"x": pl.String}), rows)
    parsed = [_as_int(text) for text in texts]
    present = sum(isinstance(cell, int) for cell in parsed)
    filled = sum(cell is not None for cell in parsed)

    for code, kind in (("wrong_type", "type"), ("integer_overflow", "overflow"),
                       ("nan_text", "null")):  # fmt: skip
        wrong = [t if p == kind else None for t, p in zip(texts, parsed, strict=True)]
        assert _found(findings, code) == _expected(wrong, lambda t: t is not None, filled)

    off = [t if isinstance(p, int) and not 1 <= p <= 9 else None
           for t, p in zip(texts, parsed, strict=True)]  # fmt: skip
    assert _found(findings, "out_of_range") == _expected(off, lambda t: t is not None, present)

    before: int | None = None
    seen: set[int] = set()
    told: dict[int, str | None] = {}
    lower: list[str | None] = []
    again: list[str | None] = []
    for text, cell in zip(texts, parsed, strict=True):
        number = cell if isinstance(cell, int) else None
        is_lower = number is not None and before is not None and number < before
        lower.append(text if is_lower else None)
        if number in seen and number is not None:
            told.setdefault(number, text)  # a key that is spelled in several ways is shown once
        again.append(told[number] if number in seen and number is not None else None)
        before = before if number is None else number
        seen |= set() if number is None else {number}
    assert _found(findings, "out_of_order") == _expected(lower, lambda t: t is not None, present)
    assert _found(findings, "duplicate_key") == _expected(again, lambda t: t is not None, present)

    missing = sum(cell is None for cell in parsed)
    gaps = _found(findings, "missing_values") or _found(findings, "empty_column")
    assert (gaps.count if gaps else 0) == missing
    hit = {row for f in findings for row in _rows_of(f, bad)}
    assert sorted(hit) == bad["row_id"].to_list()


def _rows_of(finding: Finding, bad: pl.DataFrame) -> list[int]:
    reason = f"{finding.code}: {finding.feature}"
    rows = bad.filter(pl.col("reasons").list.contains(reason))["row_id"].to_list()
    assert tuple(rows[:20]) == finding.evidence.rows
    return rows


@_settings(50)
@given(st.lists(st.sampled_from(FLOATS), min_size=1, max_size=30), st.integers(1, 31))
def test_floats(check_in_parts: InParts, cells: list[float | None], rows: int) -> None:
    spec = FeatureSpec(type="float", min=0.5, max=50.0, negative=False)
    frame = pl.DataFrame({"x": cells}, {"x": pl.Float64})
    findings, _ = check_in_parts(_exact(spec), frame, rows)
    present = sum(cell is not None for cell in cells)
    finite = [None if c is None or not math.isfinite(c) else c for c in cells]

    def seen(code: str, says: str, breaks: Check, of: list[float | None] = cells) -> None:
        expected = _expected(of, lambda c: c is not None and breaks(c), present)
        found = _found(findings, code, says)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert (found.count, found.total, found.rows) == (
                expected.count, expected.total, expected.rows,
            )  # fmt: skip

    seen("not_finite", "NaN", math.isnan)
    seen("not_finite", "infinite", math.isinf)
    seen("out_of_range", "negative", lambda c: c < 0, finite)
    seen("out_of_range", "not within", lambda c: 0 <= c < 0.5 or c > 50, finite)


@_settings(50)
@given(st.lists(st.sampled_from([*WORDS, None]), min_size=1, max_size=30), st.integers(1, 31))
def test_texts(check_in_parts: InParts, texts: list[str | None], rows: int) -> None:
    spec = FeatureSpec(type="string", min_length=1, max_length=5, pattern="[a-z]*|[A-Z][0-9]")
    frame = pl.DataFrame({"x": texts}, {"x": pl.String})
    findings, _ = check_in_parts(_exact(spec), frame, rows)
    present = sum(text is not None for text in texts)
    rules: dict[str, Check] = {
        "length_out_of_range": lambda t: t is not None and not 1 <= len(t) <= 5,
        "pattern_mismatch": lambda t: t is not None and not re.fullmatch("[a-z]*|[A-Z][0-9]", t),
        "broken_encoding": lambda t: t is not None and "\u00c3" in t,
    }
    for code, breaks in rules.items():
        assert _found(findings, code) == _expected(texts, breaks, present)
    domain = FeatureSpec(type="string", domain=("a", "bb"))
    findings, _ = check_in_parts(_exact(domain), frame, rows)
    outside = _expected(texts, lambda t: t is not None and t not in ("a", "bb"), present)
    assert _found(findings, "unseen_value") == outside


@_settings(40)
@given(
    st.lists(st.none() | st.lists(st.none() | st.integers(0, 12), max_size=4), min_size=1,
             max_size=20),
    st.integers(1, 21),
)  # fmt: skip
def test_lists(check_in_parts: InParts, lists: list[list[int | None] | None], rows: int) -> None:
    spec = FeatureSpec(type="int", nesting=1, min_values=2, max_values=3, max=10, min_present=1.0)
    frame = pl.DataFrame({"x": lists}, {"x": pl.List(pl.Int64)})
    findings, bad = check_in_parts(_exact(spec), frame, rows)

    short = [row for row, cell in enumerate(lists) if cell is not None and not 2 <= len(cell) <= 3]
    found = _found(findings, "value_count")
    filled = sum(cell is not None for cell in lists)
    assert (found.count, found.total, found.rows) if found else (0, filled, ()) == (
        len(short), filled, tuple(short[:20]),
    )  # fmt: skip

    large = [row for row, cell in enumerate(lists) for x in cell or () if x is not None and x > 10]
    found = _found(findings, "out_of_range")
    assert (found.count if found else 0) == len(large)
    assert (found.rows if found else ()) == tuple(dict.fromkeys(large))[:20]
    missing = [row for row, cell in enumerate(lists) if cell is None]
    told = _found(findings, "missing_values") or _found(findings, "empty_column")
    assert (told.rows if told else ()) == tuple(missing[:20])
    assert bad["row_id"].to_list() == sorted({*short, *large, *missing})


@pytest.mark.parametrize("cells", [["1", "NA", "7.0", "2"], [1.0, 0.0, 7.0, 2.0]])
def test_a_domain_of_integers_tells_all_that_it_does_not_hold(cells: list[object]) -> None:
    spec = FeatureSpec("int", domain=(1, 2), max_unseen=0.0)
    schema = Schema(features={"x": spec}, table=TableSpec(exact=True))
    report = schema.check(pl.DataFrame({"x": cells}))
    assert report.rows["row_id"].to_list() == [1, 2]
    (edit,) = [f.edit for f in report.findings if f.code == "unseen_value"]
    assert edit is not None
    assert edit.new == ([1, 2, 7] if "NA" in cells else [0, 1, 2, 7])
