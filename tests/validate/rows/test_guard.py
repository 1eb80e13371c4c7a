from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate.rows.guard import Fault, Guard
from gristmill.validate.rows.row_check import check_rows
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema

SCHEMA = Schema(
    features={
        "age": FeatureSpec("int", min_present=1.0, min=0, max=120, negative=False),
        "fare": FeatureSpec("float", max=500.0, null_values=(-1, "n/a")),
        "paid": FeatureSpec("string", domain=("card", "cash"), min_present=0.5),
        "code": FeatureSpec("string", pattern="[A-Z]{2}-[0-9]+", max_length=6, min_length=4),
        "gift": FeatureSpec("bool"),
        "seen": FeatureSpec("time", earliest="2020-01-01", latest="2030-01-01T12:00:00Z"),
        "tags": FeatureSpec("int", nesting=1, min_values=1, max_values=3, max=9),
        "note": FeatureSpec("any", required=False),
    },
    environments={"serving": "asks"},
)
GOOD: dict[str, Any] = {
    "age": 30, "fare": 2.5, "paid": "cash", "code": "AB-1", "gift": True,
    "seen": "2024-02-29", "tags": [1, 2], "note": "x",
}  # fmt: skip


def _codes(**changes: Any) -> list[tuple[str, str]]:
    return [(fault.feature, fault.code) for fault in Guard(SCHEMA).check(GOOD | changes)]


def test_a_good_record_has_no_faults() -> None:
    assert Guard(SCHEMA).admits(GOOD)
    assert Guard(SCHEMA, environment="serving").check(GOOD) == []


@pytest.mark.parametrize(
    ("feature", "value", "code"),
    [
        ("age", "7h", "wrong_type"),
        ("age", 7.5, "wrong_type"),
        ("age", True, "wrong_type"),
        ("age", 2**63, "wrong_type"),
        ("age", None, "missing_values"),
        ("age", " ", "missing_values"),
        ("age", -1, "out_of_range"),
        ("age", 121, "out_of_range"),
        ("fare", float("nan"), "not_finite"),
        ("fare", float("inf"), "not_finite"),
        ("fare", 501, "out_of_range"),
        ("fare", [1.0], "wrong_type"),
        ("paid", "Crypto", "unseen_value"),
        ("paid", 3, "wrong_type"),
        ("code", "ab-1", "pattern_mismatch"),
        ("code", "AB-12345", "length_out_of_range"),
        ("gift", "maybe", "wrong_type"),
        ("seen", "yesterday", "wrong_type"),
        ("seen", "2019-12-31", "out_of_range"),
        ("seen", dt.date(2031, 1, 1), "out_of_range"),
        ("tags", 3, "nesting"),
        ("tags", [], "value_count"),
        ("tags", [1, 10], "out_of_range"),
        ("tags", ["x"], "wrong_type"),
        ("tags", [[1]], "wrong_type"),
    ],
)
def test_each_limit(feature: str, value: object, code: str) -> None:
    assert _codes(**{feature: value}) == [(feature, code)]


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("age", "7.0"), ("age", 7.0), ("fare", "1e2"), ("fare", -1), ("fare", "n/a"),
        ("gift", "Yes"), ("seen", "2024-01-01 10:00"), ("seen", "2024-01-01T10:00:00+02:00"),
        ("paid", None),
        ("seen", dt.datetime(2024, 1, 1, tzinfo=dt.UTC)), ("note", object()), ("tags", None),
    ],
)  # fmt: skip
def test_what_fits(feature: str, value: object) -> None:
    assert _codes(**{feature: value}) == []


def test_missing_and_unknown_fields() -> None:
    record = {name: value for name, value in GOOD.items() if name not in ("age", "note")}
    faults = Guard(SCHEMA).check(record | {"extra": 1})
    assert faults == [
        Fault("missing_column", "age", None, "a value"),
        Fault("new_column", "extra", 1, "no such field"),
    ]
    assert [str(fault) for fault in faults] == [
        "age: expected a value, found nothing",
        "extra: expected no such field, found 1",
    ]


def test_faults_say_what_was_expected() -> None:
    faults = Guard(SCHEMA).check(GOOD | {"age": 200, "paid": "Cash", "code": "AB-12345"})
    assert [fault.expected for fault in faults] == [
        "0 to 120",
        "one of 'card', 'cash'",
        "4 to 6 characters",
    ]


def test_a_limit_that_tolerates_much_is_not_held_against_one_record() -> None:
    loose = Schema(features={"x": FeatureSpec("int", max=3, max_outside=0.05, min_present=0.9)})
    assert Guard(loose).check({"x": 9}) == []
    assert Guard(loose).check({"x": None}) == []
    assert [fault.code for fault in Guard(loose, rare=0.1).check({"x": 9})] == ["out_of_range"]
    mixed = Schema(features={"x": FeatureSpec("int", max=3, max_mistyped=0.05)})
    assert Guard(mixed).check({"x": "7h"}) == []
    assert [fault.code for fault in Guard(mixed).check({"x": "9"})] == ["out_of_range"]
    assert [fault.code for fault in Guard(mixed, rare=0.1).check({"x": "7h"})] == ["wrong_type"]


def test_patterns_that_python_does_not_know() -> None:
    guard = Guard(Schema(features={"x": FeatureSpec("string", pattern=r"\p{Greek}+")}))
    assert guard.admits({"x": "αβγ"})
    assert not guard.admits({"x": "abc"})


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown environment 'moon'"):
        Guard(SCHEMA, environment="moon")


CELLS = {
    "age": st.one_of(st.none(), st.text("0123456789+-. 7he", max_size=5), st.just("130")),
    "fare": st.one_of(st.none(), st.floats().map(repr), st.text("0123.e+-naif ", max_size=5)),
    "paid": st.one_of(st.none(), st.sampled_from(["cash", "card", "Cash", "", "crypto"])),
    "code": st.one_of(st.none(), st.text("AB-12", max_size=7)),
    "gift": st.one_of(st.none(), st.sampled_from(["true", "No", " 1", "2", "", "YES"])),
    "seen": st.one_of(
        st.none(),
        st.datetimes(dt.datetime(2018, 1, 1), dt.datetime(2032, 1, 1)).map(lambda t: t.isoformat()),
        st.sampled_from(["2024-13-01", "2024-02-30", "2024-01-01 25:00", "soon", " 2024-05-05 "]),
    ),
}  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries(CELLS))
def test_one_record_is_judged_as_in_a_table(record: dict[str, str | None]) -> None:
    features = {name: SCHEMA.features[name] for name in CELLS}
    schema = Schema(features=features)
    table = pl.DataFrame([record], schema=dict.fromkeys(CELLS, pl.String))
    reasons = {reason for row in check_rows(schema, table).bad["reasons"] for reason in row}
    faults = {f"{fault.code}: {fault.feature}" for fault in Guard(schema).check(record)}
    # The guard tells the first fault of a field, the table every one.
    assert faults <= reasons
    assert {f.partition(": ")[2] for f in faults} == {r.partition(": ")[2] for r in reasons}
