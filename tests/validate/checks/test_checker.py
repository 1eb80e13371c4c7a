from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.validate import Report, Schema, profile
from gristmill.validate.checks.collect import Collector
from gristmill.validate.checks.places import Part, Places
from gristmill.validate.checks.rule import Draft
from gristmill.validate.checks.seen import Seen

Orders = Callable[..., pl.DataFrame]
AT = [3, 50, 812]


@pytest.fixture
def schema(orders: Orders) -> Schema:
    return Schema.infer(profile(orders(3000, seed=1)))


def _set(frame: pl.DataFrame, column: str, value: object, rows: list[int]) -> pl.DataFrame:
    """Put `value` into a column, as text where it does not fit the column's type."""
    where = pl.int_range(pl.len()).is_in(rows)
    cells = pl.col(column).cast(pl.String) if isinstance(value, str) else pl.col(column)
    return frame.with_columns(pl.when(where).then(pl.lit(value)).otherwise(cells).alias(column))


def _codes(report: Report) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.feature) for finding in report.findings]


@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("rows", [60, 2000])
def test_clean_data_gives_no_finding(orders: Orders, seed: int, rows: int) -> None:
    train = orders(3000, seed=1)
    report = Schema.infer(profile(train)).check(orders(rows, seed=seed), baseline=train)
    assert report.findings == []
    assert report.rows.height == 0
    assert len(report.drift) == 7


@pytest.mark.parametrize("seed", range(8))
def test_clean_random_splits_give_no_finding(orders: Orders, seed: int) -> None:
    table = orders(4000, seed=5)
    order = np.random.default_rng(seed).permutation(4000)
    one, two = table[order[:2500].tolist()], table[order[2500:].tolist()]
    report = Schema.infer(profile(one)).check(two, baseline=profile(one))
    assert report.findings == []


@pytest.mark.parametrize(
    ("column", "value", "code", "message"),
    [
        ("hour", "7h", "wrong_type", "3 of 1,000 cells do not parse as int: '7h'"),
        ("paid", "Cash ", "unseen_value", "outside the domain: 'Cash ' (like 'cash'?)"),
        ("price", -1.0, "out_of_range", "cells are negative: -1.0"),
        ("price", float("nan"), "not_finite", "3 of 899 cells are NaN"),
        ("note", "caf\u00c3\u00a9 au lait", "broken_encoding", "cells show a broken encoding"),
        ("note", "a \ufffd b c", "broken_encoding", "cells show a broken encoding"),
    ],
)
def test_bad_cells_are_one_finding_with_their_rows(
    orders: Orders, schema: Schema, column: str, value: object, code: str, message: str
) -> None:
    report = schema.check(_set(orders(1000, seed=2), column, value, AT))
    assert _codes(report) == [(code, column)]
    finding = report.findings[0]
    assert message in finding.message
    assert finding.evidence.rows == tuple(AT)
    assert finding.evidence.count == 3
    assert report.rows["row_id"].to_list() == AT
    assert report.rows["reasons"].to_list() == [[f"{code}: {column}"]] * 3
    assert not report.ok


def test_one_bad_cell_says_its_row(orders: Orders, schema: Schema) -> None:
    report = schema.check(_set(orders(1000, seed=2), "hour", "7h", [812]))
    assert report.findings[0].message == "1 of 1,000 cells does not parse as int: '7h' (row 812)"


def test_row_ids_of_the_table_are_used(orders: Orders, schema: Schema) -> None:
    frame = orders(500, seed=2).with_columns(row_id=pl.format("r{}", pl.int_range(pl.len())))
    report = schema.check(_set(frame, "hour", "7h", [9]))
    assert report.findings[0].evidence.rows == ("r9",)
    assert report.rows["row_id"].to_list() == ["r9"]


def test_missing_and_new_columns_name_each_other(orders: Orders, schema: Schema) -> None:
    report = schema.check(orders(500, seed=2).rename({"price": "Price"}))
    assert _codes(report) == [("missing_column", "price"), ("new_column", "Price")]
    assert "found: 'Price', a new name for it?" in report.findings[0].message
    assert [finding.severity for finding in report.findings] == ["error", "warning"]
    accepted = schema.apply(report.edits).check(orders(500, seed=2).rename({"price": "Price"}))
    assert accepted.findings == []


def test_missing_values_beyond_presence(orders: Orders, schema: Schema) -> None:
    report = schema.check(_set(orders(1000, seed=2), "gift", None, list(range(0, 1000, 10))))
    assert _codes(report) == [("missing_values", "gift")]
    assert report.findings[0].evidence.count == 100
    assert report.rows.height == 100
    edit = report.findings[0].edit
    assert edit is not None
    assert (edit.key, edit.new) == ("min_present", 0.9)


def test_values_far_out_of_range_and_long_texts(orders: Orders, schema: Schema) -> None:
    rows = list(range(100, 130))
    report = schema.check(_set(orders(1000, seed=2), "hour", 99, rows))
    assert _codes(report) == [("unseen_value", "hour")]
    assert report.rows["row_id"].to_list() == rows
    assert "30 of 1,000 cells are outside the domain: 99" in report.findings[0].message
    report = schema.check(_set(orders(1000, seed=2), "price", 1e6, rows))
    assert _codes(report) == [("out_of_range", "price")]
    assert report.rows["row_id"].to_list() == rows
    report = schema.check(_set(orders(1000, seed=2), "note", "y" * 9000, rows))
    assert _codes(report) == [("length_out_of_range", "note")]
    assert report.rows["row_id"].to_list() == rows


def test_duplicated_rows_are_the_later_ones(orders: Orders, schema: Schema) -> None:
    frame = orders(1000, seed=2).drop("order_id")
    loose = Schema.infer(profile(orders(3000, seed=1).drop("order_id")))
    for baseline in (None, orders(3000, seed=1).drop("order_id")):
        report = loose.check(pl.concat([frame, frame[:50]]), baseline=baseline)
        assert _codes(report) == [("duplicate_rows", None)]
        assert report.rows["row_id"].to_list() == list(range(1000, 1050))


def test_a_raised_limit_accepts_duplicates(orders: Orders) -> None:
    train, frame = (orders(n, seed=s).drop("order_id") for n, s in ((3000, 1), (1000, 2)))
    doubled = pl.concat([frame, frame[:50]])
    schema = Schema.infer(profile(train))
    report = schema.check(doubled, baseline=train)
    assert schema.apply(report.edits).check(doubled, baseline=train).findings == []


def test_a_repeated_key(orders: Orders, schema: Schema) -> None:
    frame = _set(orders(500, seed=2), "order_id", 20_000, [40])
    report = schema.check(frame)
    assert _codes(report) == [("duplicate_key", "order_id")]
    assert report.findings[0].evidence.rows == (40,)


def test_a_constant_column_is_told_once(orders: Orders, schema: Schema) -> None:
    frame = orders(1000, seed=2).with_columns(hour=pl.lit(5))
    report = schema.check(frame, baseline=orders(3000, seed=1))
    assert _codes(report) == [("constant_column", "hour")]


def test_one_bad_cell_does_not_hide_a_shift(orders: Orders, schema: Schema) -> None:
    frame = orders(1000, seed=2).with_columns(pl.col("price") * 1.609)
    report = schema.check(_set(frame, "price", "dear", [7]), baseline=orders(3000, seed=1))
    assert _codes(report) == [("unit_change", "price"), ("wrong_type", "price")]


def test_a_shift_of_lengths_shows_both_distributions(orders: Orders, schema: Schema) -> None:
    frame = orders(1000, seed=2).with_columns(note=pl.col("note") + "z" * 15)
    report = schema.check(frame, baseline=orders(3000, seed=1))
    assert _codes(report) == [("drift", "note")]
    distribution = report.findings[0].evidence.distribution
    assert distribution is not None
    assert distribution.over == "lengths"
    assert sum(distribution.baseline) == pytest.approx(1.0)
    assert sum(distribution.current) == pytest.approx(1.0)
    assert report.rows.height == 0


def test_statistics_alone_give_the_same_findings(orders: Orders, schema: Schema) -> None:
    frame = _set(orders(1000, seed=2), "paid", "coin", AT)
    frame = _set(frame, "price", -1.0, AT).rename({"gift": "present"})
    by_rows, by_figures = schema.check(frame), schema.check(profile(frame))
    assert _codes(by_rows) == _codes(by_figures)
    assert by_figures.rows.height == 0
    assert [f.evidence.count for f in by_rows.findings] == [
        f.evidence.count for f in by_figures.findings
    ]


def test_no_rows_and_too_few_rows(orders: Orders, schema: Schema) -> None:
    assert _codes(schema.check(orders(3, seed=2)[:0])) == [("no_data", None)]
    strict = Schema.parse(schema.text.replace("[table]", "[table]\nmin_rows = 10"))
    report = strict.check(orders(5, seed=2))
    assert _codes(report) == [("few_rows", None)]
    assert report.ok


def test_environments(orders: Orders, schema: Schema) -> None:
    without = Schema.parse(
        schema.text.replace("[features.gift]", '[features.gift]\nnot_in = ["serving"]')
    )
    serving = orders(500, seed=2).drop("gift")
    assert without.check(serving, environment="serving").findings == []
    assert _codes(without.check(serving)) == [("missing_column", "gift")]
    report = without.check(orders(500, seed=2), environment="serving")
    assert _codes(report) == [("new_column", "gift")]
    with pytest.raises(UsageError, match="unknown environment 'prod'"):
        schema.check(serving, environment="prod")


def test_severity_comes_from_the_schema(orders: Orders, schema: Schema) -> None:
    mild = Schema.parse(f'{schema.text}\n[severity]\nunseen_value = "info"\n')
    report = mild.check(_set(orders(500, seed=2), "paid", "coin", AT[:2]))
    assert [finding.severity for finding in report.findings] == ["info"]
    assert report.ok
    assert report.rows.height == 0


def test_files_are_read_as_the_schema_says(orders: Orders, schema: Schema, tmp_path: Path) -> None:
    path = tmp_path / "later.csv"
    _set(orders(500, seed=2), "hour", "7h", [42]).write_csv(path)
    path.write_text(path.read_text() + "1,2\n")
    report = schema.check(path)
    assert _codes(report) == [("wrong_type", "hour"), ("unreadable_row", None)]
    assert report.unreadable["line"].to_list() == [502]
    assert report.findings[0].evidence.rows == (42,)


def test_a_baseline_without_rows_is_refused(orders: Orders, schema: Schema) -> None:
    with pytest.raises(DataError, match="the baseline has no rows"):
        schema.check(orders(10, seed=2), baseline=orders(10, seed=3)[:0])


def test_a_column_without_a_name_is_checked(orders: Orders) -> None:
    table = orders(500, seed=1).rename({"note": ""})
    report = Schema.infer(profile(table)).check(table, baseline=table)
    assert report.findings == []


def test_the_reason_of_a_shift_is_told_and_not_what_follows_from_it(
    orders: Orders, schema: Schema
) -> None:
    cents = orders(2000, seed=2).with_columns(price=pl.col("price") * -1)
    report = schema.check(cents, baseline=orders(3000, seed=1))
    found = [code for code, feature in _codes(report) if feature == "price"]
    assert found == ["unit_change"]
    assert report.rows.height > 1000


def test_findings_of_most_cells_are_absorbed_with_their_rows_kept(schema: Schema) -> None:
    found = Collector(schema)
    places = Places.of(pl.Series([True] * 10), Part(0, 10, 0))
    found.add("price", Draft("out_of_range", "nine of ten", Seen(9, 10, (), places)))
    found.add("price", Draft("wrong_type", "one of ten", Seen(1, 10)))
    found.add("price", Draft("unit_change", "cents"))
    found.absorb("price", ("out_of_range", "wrong_type"))
    assert [finding.code for finding in found.findings] == ["wrong_type", "unit_change"]
    assert found.rows().height == 10


def test_a_finding_is_not_absorbed_by_a_milder_one(schema: Schema) -> None:
    found = Collector(schema)
    found.add("price", Draft("out_of_range", "all", Seen(10, 10)))
    found.add("price", Draft("unit_change", "cents", severity="info"))
    found.absorb("price", ("out_of_range",))
    assert [finding.code for finding in found.findings] == ["out_of_range", "unit_change"]
