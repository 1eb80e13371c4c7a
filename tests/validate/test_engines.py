"""The same statistics, reports and files, whoever does the work."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import DataError, GristmillError
from gristmill.engine import Engine, LocalProcesses, using_engine
from gristmill.validate import (
    FeatureSpec,
    Report,
    RuleSpec,
    Schema,
    Statistics,
    TableSpec,
    profile,
    split_rows,
)
from gristmill.validate.checks import subject
from gristmill.validate.rows.row_check import RowCheck, RowSplitter

NOW = dt.datetime(2024, 3, 1)
ROWS = 200
SCHEMA = Schema(
    features={
        "order_id": FeatureSpec("int", unique=True, order="ascending"),
        "price": FeatureSpec("float", min=0, max=90),
        "paid": FeatureSpec("string", domain=["cash", "card"]),
    },
    table=TableSpec(key=["price", "paid"], max_duplicates=0.0, exact=True),
    rules={
        "cheap": RuleSpec(holds="price < 60"),
        "mean": RuleSpec(
            sql="SELECT row_id FROM data WHERE price > 3 * (SELECT avg(price) FROM data)"
        ),
    },
)


@pytest.fixture
def table(orders: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """Rows with faults of each kind that other rows tell of, in parts far from each other."""
    frame = orders(1100, seed=1)
    spoiled = np.where(np.arange(1100) % 97 == 0, 10_001, frame["order_id"])
    return pl.concat([frame.with_columns(order_id=pl.Series(spoiled)), frame[10:60]])


@pytest.fixture
def files(table: pl.DataFrame, tmp_path: Path) -> list[Path]:
    """The table as Parquet, its row groups cut elsewhere, and as CSV with a line that is no row."""
    parquet, csv = tmp_path / "orders.parquet", tmp_path / "orders.csv"
    table.write_parquet(parquet, row_group_size=170)
    table.write_csv(csv)
    with csv.open("a") as file:
        file.write("1,2\n")
    return [parquet, csv]


def _bytes(statistics: Statistics, folder: Path) -> list[bytes]:
    statistics.save(folder)
    return [(folder / name).read_bytes() for name in ("statistics.json", "sketches.bin")]


def _seen(report: Report) -> tuple[object, ...]:
    rows = (report.rows.to_dicts(), report.unreadable.to_dicts())
    return report.checked_rows, report.findings, report.drift, rows, report.notes


def test_statistics_reports_and_files_are_those_of_one_process(
    any_engine: Engine,
    table: pl.DataFrame,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = {"partition_rows": ROWS, "cross_features": True, "slices": ["paid", "price > 20"]}
    for data in (table, files[0]):
        alone, shared = profile(data, **how), profile(data, **how, engine=any_engine)
        assert _bytes(shared, tmp_path / "two") == _bytes(alone, tmp_path / "one")

    monkeypatch.setattr(subject, "PART_ROWS", ROWS)
    for data in files:
        check = partial(SCHEMA.check, data, baseline=table, now=NOW)
        assert _seen(check(engine=any_engine)) == _seen(check())

    for data in files:
        ends = [(tmp_path / f"{way}.jsonl", tmp_path / f"{way}-bad.csv") for way in ("one", "two")]
        alone = split_rows(SCHEMA, data, *ends[0])
        shared = split_rows(SCHEMA, data, *ends[1], engine=any_engine)
        assert (shared.good, shared.bad, shared.reasons) == (alone.good, alone.bad, alone.reasons)
        for one, two in zip(*ends, strict=True):
            assert one.read_bytes() == two.read_bytes()


def test_text_cut_elsewhere_has_the_same_exact_figures(files: list[Path]) -> None:
    alone = profile(files[1], partition_rows=ROWS)
    with using_engine("inline"):
        shared = profile(files[1], partition_rows=ROWS)
    assert shared.rows == alone.rows
    assert shared.repeats.to_bytes() == alone.repeats.to_bytes()
    for name, feature in alone.features.items():
        other = shared.features[name]
        assert (other.missing, other.kinds) == (feature.missing, feature.kinds)
        assert other.distinct.to_bytes() == feature.distinct.to_bytes()
        assert other.top(9) == feature.top(9)


def test_more_slices_than_are_taken_are_those_of_one_process(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    how = {"partition_rows": 50, "slices": ["note"]}
    table = table.head(150)
    alone, shared = profile(table, **how), profile(table, **how, engine="inline")
    assert len(alone.slices) == 100
    assert _bytes(shared, tmp_path / "two") == _bytes(alone, tmp_path / "one")


def test_a_file_that_workers_cannot_read_is_named(files: list[Path]) -> None:
    data = files[0].read_bytes()
    files[0].write_bytes(data[:200] + bytes(400) + data[600:])
    with pytest.raises(DataError) as caught:
        profile(files[0], engine="inline")
    assert "orders.parquet" in str(caught.value.where)


def test_wrong_arguments_are_told_by_workers_as_here(table: pl.DataFrame) -> None:
    for engine in (None, "inline"):
        with pytest.raises(GristmillError, match="weights"):
            profile(table, weight="price", engine=engine)


def _dies_once(folder: Path, number: int, checked: RowCheck) -> RowCheck:
    """Split one part after the other; the process of the third one is killed at the first try."""
    place = folder / "died"
    if number == 2 and not place.exists():
        place.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return checked


def test_no_row_is_lost_or_told_twice_where_a_worker_is_killed(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    splitter = RowSplitter.of(SCHEMA, table, None, 0.01, ROWS)
    with LocalProcesses(2) as engine:
        parts = list(splitter.each(partial(_dies_once, tmp_path), engine))
    assert (tmp_path / "died").exists()
    ids = [row for part in parts for row in [*part.good["row_id"], *part.bad["row_id"]]]
    assert sorted(ids) == list(range(table.height))
    assert sum(part.good.height for part in parts) not in (0, table.height)
