"""What each rule says: its sentence, its rows, the edit that it proposes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate import FeatureSpec, Finding, Report, Schema, TableSpec, check, profile

NOW = dt.datetime(2024, 3, 1, 12)


def _check(spec: FeatureSpec, cells: pl.Series | Sequence[object], **table: object) -> Report:
    schema = Schema(features={"x": spec}, table=TableSpec(**table))  # type: ignore[arg-type]
    return check(schema, pl.DataFrame({"x": cells}), now=NOW)


def _only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def _edit(finding: Finding) -> tuple[str, object] | None:
    return None if finding.edit is None else (finding.edit.key, finding.edit.new)


def test_one_bad_cell_among_thousands() -> None:
    cells = [str(number % 24) for number in range(5001)]
    cells[812] = "7h"
    finding = _only(_check(FeatureSpec(type="int"), cells))
    assert finding.message == "1 of 5,001 cells does not parse as int: '7h' (row 812)"
    assert finding.evidence.rows == (812,)
    assert finding.edit is None


@pytest.mark.parametrize(
    ("cell", "code"),
    [("7h", "wrong_type"), ("NA", "nan_text"), ("9223372036854775808", "integer_overflow")],
)
def test_a_share_of_cells_may_be_off_their_type(cell: str, code: str) -> None:
    spec = FeatureSpec(type="int", max_mistyped=0.01)
    assert _check(spec, ["1"] * 98 + [cell] * 2).findings == []  # within chance of one in a hundred
    assert _check(spec, ["1"] * 99 + [cell], exact=True).findings == []
    finding = _only(_check(spec, ["1"] * 98 + [cell] * 2, exact=True))
    assert (finding.code, finding.evidence.count) == (code, 2)
    assert _only(_check(spec, ["1"] * 80 + [cell] * 20)).code == code
    assert _only(_check(FeatureSpec(type="int"), ["1"] * 999 + [cell])).code == code


def test_a_wider_type_is_proposed_only_where_it_holds_all() -> None:
    finding = _only(_check(FeatureSpec(type="int"), [1.0, 2.5, 3.5]))
    assert finding.message == "2 of 3 cells do not fit as int (the column is float): 2.5, 3.5"
    assert _edit(finding) == ("type", "float")
    assert _edit(_only(_check(FeatureSpec(type="int"), ["a", "b"]))) is None


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (pl.Series([3, 2**63 + 5], dtype=pl.UInt64), "9223372036854775813"),
        (pl.Series(["3", "9223372036854775808"]), "'9223372036854775808'"),
        (pl.Series([3.0, 2.0**63]), "9.223372036854776e+18"),
        (pl.Series([3, 2**63 - 1]), "9223372036854775807"),
        (pl.Series([3, 2**100], dtype=pl.Int128), "1267650600228229401496703205376"),
    ],
)
def test_integers_that_overflow(cells: pl.Series, shown: str) -> None:
    finding = _only(_check(FeatureSpec(type="int", min=0, max=10), cells))
    assert finding.code == "integer_overflow"
    assert finding.message == (
        f"1 of 2 cells is a whole number at or beyond the end of 64-bit integers: {shown} (row 1)"
    )


def test_half_a_boolean() -> None:
    finding = _only(_check(FeatureSpec(type="bool"), [0.0, 1.0, 0.5]))
    assert finding.message == (
        "1 of 3 cells does not fit as bool (the column is float): 0.5 (row 2)"
    )
    assert _check(FeatureSpec(type="bool"), [0, 1, 1]).findings == []


def test_texts_that_spell_missing() -> None:
    finding = _only(_check(FeatureSpec(type="float"), ["1.5", "NULL", "n/a ", None]))
    assert finding.code == "nan_text"
    assert finding.message == "2 of 3 cells spell a missing value as text: 'NULL', 'n/a '"
    assert _edit(finding) == ("null_values", ["NULL", "n/a"])
    accepting = FeatureSpec(type="float", null_values=("NULL", "n/a"))
    assert _check(accepting, ["1.5", "NULL", "n/a ", None]).findings == []


def test_texts_that_spell_missing_suddenly_among_texts() -> None:
    schema = Schema(features={"x": FeatureSpec(type="string", drift=1.0)})
    usual = pl.DataFrame({"x": [f"word {number}" for number in range(500)]})
    odd = pl.DataFrame({"x": [*usual["x"][:480], *["None"] * 20]})
    report = check(schema, odd, baseline=usual)
    assert [finding.code for finding in report.findings] == ["nan_text"]
    assert report.findings[0].evidence.rows == tuple(range(480, 500))
    assert check(schema, odd, baseline=odd).findings == []
    assert check(schema, odd).findings == []


def test_null_values_are_missing_numbers_too() -> None:
    spec = FeatureSpec(type="int", min=0, min_present=0.5, null_values=(-1, "?"))
    assert _check(spec, [-1, 2, 3, 4]).findings == []
    report = _check(spec, ["?", "-1", "5", "-1"], exact=True)
    assert _only(report).message == (
        "3 of 4 cells have no value: present in 25 %, expected at least 50 %"
    )


def test_nesting() -> None:
    finding = _only(_check(FeatureSpec(type="int"), [[1], [2, 3]]))
    assert finding.message == "2 of 2 cells are lists, expected plain: [1], ..."
    finding = _only(_check(FeatureSpec(type="int", nesting=1), [1, None]))
    assert finding.message == "1 of 2 cells is plain, expected lists: 1 (row 0)"
    finding = _only(_check(FeatureSpec(type="int", nesting=1), [[[1, 2]]]))
    assert finding.message.startswith("1 of 1 cells is lists of lists, expected lists")


def test_a_list_of_another_length() -> None:
    spec = FeatureSpec(type="float", nesting=1, min_values=3, max_values=3)
    finding = _only(_check(spec, [[1.0, 2.0, 3.0], [4.0, 5.0], None]))
    assert finding.message == (
        "1 of 2 cells does not hold within 3 to 3 values, found 2 to 3: [4.0, 5.0] (row 1)"
    )
    assert _edit(finding) == ("min_values", 2)


def test_elements_of_lists_are_cast_and_named_by_their_row() -> None:
    spec = FeatureSpec(type="int", nesting=1, domain=(1, 2))
    report = _check(spec, [["1", "x"], ["2"], [], ["3"]])
    assert {(f.code, f.evidence.rows, f.evidence.total) for f in report.findings} == {
        ("wrong_type", (0,), 4),
        ("unseen_value", (3,), 3),
    }


def test_presence() -> None:
    finding = _only(_check(FeatureSpec(type="int", min_present=0.9), [None, None, None]))
    assert (finding.code, finding.message) == ("empty_column", "none of the 3 rows has a value")
    finding = _only(_check(FeatureSpec(type="int", min_count=2), [1, None, None]))
    assert finding.message == "1 of 3 rows have a value, expected at least 2"
    assert _edit(finding) == ("min_count", 1)
    assert _check(FeatureSpec(type="int"), [None, None]).findings == []


def test_limits_leave_room_for_chance_unless_exact() -> None:
    cells = [None, *range(99)]
    spec = FeatureSpec(type="int", min_present=0.995)
    assert _check(spec, cells).findings == []
    finding = _only(_check(spec, cells, exact=True))
    assert _edit(finding) == ("min_present", 0.99)


def test_columns_that_tell_nothing() -> None:
    flat = FeatureSpec(type="float", varies=True, zeros=True, fractions=True)
    codes = [f.code for f in _check(flat, [0.0] * 150).findings]
    assert "all_zero" in codes
    assert "constant_column" not in codes
    finding = _only(_check(FeatureSpec(type="float", fractions=True), [1.0, 2.0] * 60))
    assert finding.message == "all 120 values are whole numbers, where decimals are expected"
    assert _check(FeatureSpec(type="float", fractions=True), [1.0, 2.5] * 60).findings == []
    assert _check(flat, [0.0] * 50).findings == []


def test_how_many_different_values() -> None:
    spec = FeatureSpec(type="string", min_unique=3, max_unique=4)
    finding = _only(_check(spec, ["a", "b", "a"]))
    assert finding.message == "2 different values, expected at least 3"
    finding = _only(_check(spec, list("abcde")))
    assert (finding.code, _edit(finding)) == ("many_unique", ("max_unique", 5))


def _days(*days: int) -> list[object]:
    return [dt.datetime(2024, 2, 1) + dt.timedelta(days=day) for day in days]


def test_times() -> None:
    spec = FeatureSpec(type="time", earliest="2024-02-02", latest="2024-02-20T12:00:00")
    finding = _only(_check(spec, _days(0, 5, 19)))
    assert finding.message == (
        "1 of 3 cells is not within 2024-02-02 to 2024-02-20T12:00:00: 2024-02-01 00:00:00 (row 0)"
    )
    assert _edit(finding) == ("earliest", "2024-02-01T00:00:00")
    stale = FeatureSpec(type="time", max_age="2 days")
    finding = _only(_check(stale, _days(0, 5)))
    assert finding.message == (
        "the newest time is 2024-02-06 00:00:00, 24.5 days old; expected at most 2 days"
    )
    finding = _only(_check(stale, _days(28, 40)))
    assert (finding.code, finding.severity) == ("future_time", "warning")
    assert finding.evidence.rows == (1,)
    assert _check(stale, _days(28, 29)).findings == []


def test_order() -> None:
    finding = _only(_check(FeatureSpec(type="time", order="strict"), _days(1, 2, 2, 1)))
    assert finding.message.startswith("2 of 4 cells are not above the one before: ")
    assert finding.evidence.rows == (2, 3)
    assert _check(FeatureSpec(type="time", order="ascending"), _days(1, 2, 2)).findings == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (FeatureSpec(type="time", max_age="soon"), "expected a duration such as '2 days'"),
        (FeatureSpec(type="time", earliest="yesterday"), "expected a time in ISO 8601"),
        (FeatureSpec(type="string", pattern="(a"), "is no regular expression"),
    ],
)
def test_limits_that_cannot_be_read(spec: FeatureSpec, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        _check(spec, ["a"] if spec.type == "string" else _days(1))
    assert "features.x" in str(caught.value)


def test_severity_of_one_feature() -> None:
    spec = FeatureSpec(type="int", max=5, severity={"out_of_range": "info"})
    report = _check(spec, [9])
    assert (_only(report).severity, report.ok, report.rows.height) == ("info", True, 0)


def test_statistics_alone_are_linear_and_agree() -> None:
    spec = FeatureSpec(type="float", min=0, max=5, negative=False, max_nan=0.0)
    schema = Schema(features={"x": spec}, table=TableSpec(exact=True))
    frame = pl.DataFrame({"x": [-1.0, 2.0, 9.0, float("nan"), None]})
    by_rows, by_figures = check(schema, frame), check(schema, profile(frame))
    told = [[(f.code, f.evidence.count, f.evidence.total) for f in r.findings]
            for r in (by_rows, by_figures)]  # fmt: skip
    assert sorted(told[0]) == sorted(told[1])
    assert by_figures.rows.height == 0
