from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate.drifts import skew
from gristmill.validate.drifts.skew import skew_by_join

LEFT = pl.DataFrame(
    {
        "key": [1, 2, 3, 4, 4, None],
        "price": [1.0, 2.004, None, 4.0, 5.0, 6.0],
        "name": ["a", "b", "c", "d", "e", "f"],
        "old": [1, 1, 1, 1, 1, 1],
    }
)
RIGHT = pl.DataFrame({"key": [3, 2, 1, 9], "price": [1, 2, 1, 4], "name": ["c", "B", None, "d"]})


def test_pairs_are_counted_by_what_became_of_them() -> None:
    report = skew_by_join(LEFT, RIGHT, ["key"])
    assert (report.joined, report.left_rows, report.right_rows) == (3, 0, 1)
    assert (report.left_repeated, report.left_unidentified) == (2, 1)
    assert report.missing == {"old": "left"}
    assert not report.ok
    by_name = {each.feature: each for each in report.features}
    price, name = by_name["price"], by_name["name"]
    assert (price.match, price.mismatch, price.right_only) == (1, 1, 1)
    assert (name.match, name.mismatch, name.left_only, name.neither) == (1, 1, 1, 0)
    first = name.pairs[0]
    assert (first.identifiers, first.left_row, first.right_row) == (("1",), 0, 2)
    assert (first.left, first.right) == ("a", None)


def test_floats_are_rounded_where_asked() -> None:
    report = skew_by_join(LEFT, RIGHT, ["key"], ["price"], float_digits=1)
    assert report.features[0].mismatch == 0
    assert report.missing == {}


def test_equal_tables_have_no_skew() -> None:
    assert skew_by_join(RIGHT, RIGHT.reverse(), ["key"]).ok


def test_the_text_names_the_first_row() -> None:
    assert str(skew_by_join(LEFT, RIGHT, ["key"])).splitlines() == [
        "3 rows joined; 0 only left, 1 only right",
        "2 rows with repeated identifiers are left out",
        "old: only left",
        "price: 2 of 3 pairs differ (1 in value, 0 only left, 1 only right); "
        "first: row 1: 2.004 / 2",
        "name: 2 of 3 pairs differ (1 in value, 1 only left, 0 only right); first: row 0: a / None",
    ]


def test_unknown_columns_and_no_identifier() -> None:
    with pytest.raises(UsageError, match="the right table has no column 'old'"):
        skew_by_join(LEFT, RIGHT, ["old"])
    with pytest.raises(UsageError, match="expected at least one identifier, found none"):
        skew_by_join(LEFT, RIGHT, [])
    with pytest.raises(UsageError, match="neither table has a column 'x'"):
        skew_by_join(LEFT, RIGHT, ["key"], ["x"])


CELLS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([None, 1, 2])), max_size=40)


@settings(max_examples=60, deadline=None)
@given(CELLS, CELLS, st.sampled_from([1, 7, 1 << 20]))
def test_the_join_is_that_of_the_definition(
    left: list[tuple[int, int | None]], right: list[tuple[int, int | None]], part: int
) -> None:
    schema = {"key": pl.Int64, "x": pl.Int64}
    tables = [pl.DataFrame(side, schema=schema, orient="row") for side in (left, right)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skew, "_PART_ROWS", part)
        report = skew_by_join(*tables, ["key"])
    sides = []
    for cells in (left, right):
        keys = [key for key, _ in cells]
        sides.append({key: x for key, x in cells if keys.count(key) == 1})
    both = sides[0].keys() & sides[1].keys()
    assert report.joined == len(both)
    each = report.features[0]
    assert each.match == sum(sides[0][k] == sides[1][k] is not None for k in both)
    assert each.neither == sum(sides[0][k] is None and sides[1][k] is None for k in both)
    assert each.different == sum(sides[0][k] != sides[1][k] for k in both)


def test_parts_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    left = pl.DataFrame({"key": np.arange(500), "x": rng.integers(0, 3, 500)})
    right = left.with_columns(x=pl.Series(rng.integers(0, 3, 500)))
    whole = skew_by_join(left, right, ["key"])
    monkeypatch.setattr(skew, "_PART_ROWS", 60)
    assert skew_by_join(left, right, ["key"]) == whole


def test_identifiers_of_different_types_meet() -> None:
    left = pl.DataFrame({"id": [1, 2, 3], "x": [1, 2, 3]})
    right = pl.DataFrame({"id": ["1", "7h", "3"], "x": [1, 2, 4]})
    report = skew_by_join(left, right, ["id"])
    assert (report.joined, report.left_rows, report.right_rows) == (2, 1, 1)
    assert [each.different for each in report.features] == [1]


def test_durations_are_compared() -> None:
    left = pl.DataFrame({"id": [1, 2], "took": [dt.timedelta(1), dt.timedelta(2)]})
    right = left.with_columns(took=pl.lit(dt.timedelta(1)))
    assert skew_by_join(left, right, ["id"]).features[0].different == 1


def test_lists_and_structs_equal_themselves() -> None:
    table = pl.DataFrame(
        {"id": [1, 2, 3], "some": [[[1], [2]], [], None], "both": [{"a": 1}, {"a": 2}, None]}
    )
    assert skew_by_join(table, table, ["id"]).ok
    other = table.with_columns(some=pl.Series([[[1], [2]], [[3]], None]))
    assert [each.different for each in skew_by_join(table, other, ["id"]).features] == [1, 0]
