"""Rules of the table as a whole, and the columns it must have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.validate import FeatureSpec, Finding, Report, RuleSpec, Schema, TableSpec, check
from gristmill.validate.checks.repeated import HashedKeys, Memory
from gristmill.validate.schemas.comparator import Comparator

InParts = Callable[[Schema, pl.DataFrame, int], tuple[list[Finding], pl.DataFrame]]
PLAIN = {name: FeatureSpec(type="int") for name in ("fare", "tips", "miles", "hour")}
CELLS = pl.DataFrame(
    {"fare": [5, 6, 7], "tips": [1, 9, None], "miles": [1, 2, 3], "hour": [1, 1, 2]}
)


def _codes(report: Report) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.feature) for finding in report.findings]


def _with_rules(**rules: RuleSpec) -> Report:
    return check(Schema(features=PLAIN, rules=rules), CELLS)


def test_row_counts() -> None:
    schema = Schema(features=PLAIN, table=TableSpec(max_rows=2))
    finding = check(schema, CELLS).findings[0]
    assert (finding.code, finding.message) == ("many_rows", "3 rows, expected at most 2")
    assert finding.edit is not None
    assert (finding.edit.key, finding.edit.new) == ("max_rows", 3)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None])), min_size=1,
             max_size=40),
    st.integers(1, 41),
)  # fmt: skip
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_duplicates_and_keys_over_parts(
    check_in_parts: InParts, rows: list[tuple[int, str | None]], size: int
) -> None:
    frame = pl.DataFrame(rows, {"a": pl.Int64, "b": pl.String}, orient="row")
    features = {"a": FeatureSpec(type="int"), "b": FeatureSpec(type="string")}
    table = TableSpec(max_duplicates=0.0, key=("a", "b"), exact=True)
    findings, bad = check_in_parts(Schema(features=features, table=table), frame, size)
    again = [n for n, row in enumerate(rows) if row in rows[:n]]
    keyed = [n for n in again if None not in rows[n]]
    found = {f.code: f.evidence for f in findings}
    for code, expected in (("duplicate_rows", again), ("duplicate_key", keyed)):
        evidence = found.get(code)
        assert (evidence.rows if evidence else ()) == tuple(expected[:20])
        assert (evidence.count if evidence else 0) == len(expected)
    assert bad["row_id"].to_list() == again


@given(st.lists(st.lists(st.integers(0, 50), max_size=20), max_size=12))
def test_memory_is_exact_until_full(parts: list[list[int]]) -> None:
    memory, small, seen = Memory(), Memory(most=5), set[int]()
    for part in parts:
        keys = HashedKeys.of(np.array(part, dtype=np.uint64))
        (found, _), (fewer, _) = memory.repeats(keys), small.repeats(keys)
        again = [
            place for place, number in enumerate(part) if number in seen or number in part[:place]
        ]
        assert found.tolist() == again
        assert set(fewer.tolist()) <= set(again)
        seen.update(part)
    assert small.exact == (len(seen) < 5)


def test_expressions() -> None:
    report = _with_rules(generous=RuleSpec(holds="tips <= fare AND fare > 0", message="too kind"))
    assert report.findings[0].message == (
        "1 of 3 rows breaks rule 'generous' (tips <= fare AND fare > 0): too kind - "
        "tips = 9, fare = 6 (row 1)"
    )
    assert report.rows["reasons"].to_list() == [["rule_broken"]]
    mild = RuleSpec(holds="tips <= fare", max_broken=0.5, severity="warning")
    assert _with_rules(mild=mild).findings == []
    assert _with_rules(mild=RuleSpec(holds="tips < 0", severity="warning")).ok
    elsewhere = RuleSpec(holds="tips < 0", environments=("serving",))
    schema = Schema(features=PLAIN, environments={"serving": "", "training": ""},
                    rules={"elsewhere": elsewhere})  # fmt: skip
    assert check(schema, CELLS, environment="training").findings == []
    assert _codes(check(schema, CELLS, environment="serving")) == [("rule_broken", None)]


@pytest.mark.parametrize(
    ("holds", "says"),
    [
        ("tips <= <", "rule 'odd' (tips <= <) is no SQL expression: "),
        ("tax > 0", "rule 'odd' (tax > 0) needs 'tax', which is not there"),
        ("fare + tips", "rule 'odd' (fare + tips) is Int64 and not true or false"),
        ("fare > 'x' + hour", "rule 'odd' (fare > 'x' + hour) cannot be evaluated on fare, hour: "),
    ],
)
def test_broken_expressions_are_findings(holds: str, says: str) -> None:
    report = _with_rules(odd=RuleSpec(holds=holds))
    assert _codes(report) == [("invalid_rule", None)]
    assert report.findings[0].message.startswith(says)


def test_queries_see_the_whole_table() -> None:
    pytest.importorskip("duckdb")
    report = _with_rules(
        hours=RuleSpec(sql="SELECT hour, count(*) n FROM data GROUP BY hour HAVING n > 1 -- all"),
        named=RuleSpec(sql="SELECT row_id, fare FROM data WHERE fare > 6;", message="dear"),
    )
    told = [finding.message for finding in report.findings]
    assert told == [
        "1 row of rule 'hours' (SELECT hour, count(*) n FROM data GROUP BY hour HAVING n > 1 "
        "-- all) - hour = 1, n = 2",
        "1 row of rule 'named' (SELECT row_id, fare FROM data WHERE fare > 6;): dear - "
        "row_id = 2, fare = 7 (row 2)",
    ]
    assert report.rows["row_id"].to_list() == [2]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT nothing FROM data", "cannot be run: Binder Error"),
        ("DELETE FROM data", "must be one SELECT, found DELETE"),
        ("SELECT 1; SELECT 2", "must be one SELECT, found SELECT, then SELECT"),
        ("SELECT * FROM read_csv('/etc/hosts')", "cannot be run: Permission Error"),
        ("ATTACH '/nowhere/x.db'", "must be one SELECT, found ATTACH"),
        ("", "must be one SELECT, found no statement"),
    ],
)
def test_queries_that_may_not_run(sql: str, says: str) -> None:
    pytest.importorskip("duckdb")
    report = _with_rules(odd=RuleSpec(sql=sql))
    assert _codes(report) == [("invalid_rule", None)]
    assert says in report.findings[0].message


def test_another_delimiter_is_one_finding() -> None:
    frame = pl.DataFrame({"fare;tips;miles;hour": ["5;1;1;1"]})
    report = check(Schema(features=PLAIN), frame)
    assert [finding.message for finding in report.findings] == [
        "none of the 4 columns is there, found 'fare;tips;miles;hour': the delimiter of the file "
        "is probably ';'"
    ]


def test_no_header_is_one_finding() -> None:
    frame = pl.DataFrame({"5": [6], "1": [9], "1.5": [2], "x": [1]})
    assert check(Schema(features=PLAIN), frame).findings[0].message == (
        "none of the 4 columns is there, found '5', '1', '1.5', 'x': the file probably has no "
        "header line, its first row was taken for one"
    )


def test_what_the_reader_mended_is_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(b"\xef\xbb\xbffare,tips,miles,hour\n1,2,3,4\nfare,tips,miles,hour\n5,6,7,8\n")
    report = check(Schema(features=PLAIN), path)
    assert {finding.code for finding in report.findings} == {"reading_note"}
    assert report.checked_rows == 2
    assert report.ok
    assert {note.split(":")[0] for note in report.notes} == {"byte_order_mark", "repeated_header"}


def test_serving_data_is_compared_by_its_own_limits() -> None:
    spec = FeatureSpec(type="string", skew_comparator=Comparator(infinity_norm=0.05))
    schema = Schema(features={"paid": spec})
    cash, card = (pl.DataFrame({"paid": ["cash"] * n + ["card"] * (2000 - n)}) for n in (1000, 500))
    assert check(schema, cash, serving=cash).findings == []
    report = check(schema, cash, serving=card)
    assert _codes(report)[0] == ("drift", "paid")
    assert report.findings[0].message.startswith("against serving data: ")
    with pytest.raises(DataError, match="the serving data has no rows"):
        check(schema, cash, serving=cash[:0])
