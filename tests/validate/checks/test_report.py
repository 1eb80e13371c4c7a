from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import DataError
from gristmill.validate import Report, Schema, profile, quarantine

Orders = Callable[..., pl.DataFrame]


@pytest.fixture
def broken(orders: Orders) -> pl.DataFrame:
    bad = pl.int_range(pl.len())
    return orders(1000, seed=2).with_columns(
        hour=pl.when(bad == 5).then(pl.lit("7h")).otherwise(pl.col("hour").cast(pl.String)),
        paid=pl.when(bad.is_in([5, 9])).then(pl.lit("coin")).otherwise("paid"),
        note=pl.col("note") + "z" * 15,
    )


@pytest.fixture
def report(orders: Orders, broken: pl.DataFrame) -> Report:
    train = orders(3000, seed=1)
    return Schema.infer(profile(train)).check(broken, baseline=train)


def test_the_text_starts_with_a_verdict_and_gives_evidence(report: Report) -> None:
    lines = str(report).splitlines()
    assert lines[0] == "1,000 rows: 3 errors; 2 bad rows"
    assert lines[1].startswith("error: drift note: ")
    place = lines.index(
        "error: wrong_type hour: 1 of 1,000 cells does not parse as int: '7h' (row 5)"
    )
    assert lines[place + 1] == "  rows: 5"
    assert "  rows: 5, 9" in lines
    assert '  to accept: [features.paid] domain = ["card","cash","coin","voucher"] (was ' in str(
        report
    )


def test_saving_and_loading(report: Report, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    report.save(folders[0])
    loaded = Report.load(folders[0])
    loaded.save(folders[1])
    for name in ("report.json", "rows.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert str(loaded) == str(report)
    assert loaded.rows.equals(report.rows)
    assert loaded.drift == report.drift
    assert loaded.exit_code == 3
    assert report.current is not None
    assert report.before is not None
    assert loaded.current is not None
    assert loaded.before is not None
    assert loaded.current.describe() == report.current.describe()
    assert loaded.before.describe() == report.before.describe()
    assert json.loads(json.dumps(loaded.describe())) == loaded.describe()
    with pytest.raises(DataError, match="there is no report here"):
        Report.load(tmp_path)


def test_quarantine_parts_the_rows_and_loses_none(broken: pl.DataFrame, report: Report) -> None:
    good, bad = quarantine(broken, report)
    assert bad["row_id"].to_list() == [5, 9]
    assert bad["hour"][0] == "7h"
    assert bad["reasons"].to_list() == [
        ["wrong_type: hour", "unseen_value: paid"],
        ["unseen_value: paid"],
    ]
    assert good.columns == ["row_id", *broken.columns]
    assert sorted([*good["row_id"], *bad["row_id"]]) == list(range(1000))
    assert good["row_id"].is_sorted()


def test_a_clean_report_quarantines_nothing(orders: Orders) -> None:
    train = orders(1000, seed=1)
    report = Schema.infer(profile(train)).check(train)
    assert str(report) == "1,000 rows: no findings"
    good, bad = quarantine(train, report)
    assert (good.height, bad.height) == (1000, 0)
    assert "reasons" in bad.columns
