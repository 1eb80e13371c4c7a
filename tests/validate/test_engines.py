"""The same statistics, reports and files, whoever does the work."""

from __future__ import annotations

import datetime as dt
import io
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import DataError, GristmillError, UsageError
from gristmill.data.file_part import FilePart
from gristmill.data.stream import open_stream
from gristmill.engine import Engine, LocalProcesses, using_engine
from gristmill.validate import (
    FeatureSpec,
    Report,
    RuleSpec,
    Schema,
    Statistics,
    TableSpec,
    profile,
    quarantine,
    split_rows,
)
from gristmill.validate.checks import subject
from gristmill.validate.parts import FailedParts, map_runs
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


@pytest.fixture
def damaged(table: pl.DataFrame, tmp_path: Path) -> Path:
    """The table in row groups as large as parts, of which the second cannot be read."""
    path = tmp_path / "damaged.parquet"
    table.write_parquet(path, row_group_size=ROWS)
    table[ROWS : 2 * ROWS].write_parquet(alone := io.BytesIO())
    group = alone.getvalue()[4:204]  # as in the file, wherever that has it
    data = path.read_bytes()
    assert data.count(group) == 1
    path.write_bytes(data.replace(group, bytes(len(group))))
    return path


def test_parts_that_fail_are_left_out_and_told(
    any_engine: Engine, table: pl.DataFrame, damaged: Path, tmp_path: Path
) -> None:
    how = {"partition_rows": ROWS, "on_error": "skip"}
    alone, shared = profile(damaged, **how), profile(damaged, **how, engine=any_engine)
    assert _bytes(shared, tmp_path / "two") == _bytes(alone, tmp_path / "one")
    (left_out,) = shared.skipped
    assert (left_out.number, left_out.rows) == (1, ROWS)
    assert left_out.where.endswith("damaged.parquet, rows 200 to 400")
    assert Statistics.load(tmp_path / "two").skipped == shared.skipped
    assert shared.describe()["skipped"] == alone.describe()["skipped"]

    rest = profile(pl.concat([table[:ROWS], table[2 * ROWS :]]), partition_rows=ROWS)
    assert (shared.rows, shared.repeats.to_bytes()) == (rest.rows, rest.repeats.to_bytes())
    price = shared.features["price"]
    assert price.distinct.to_bytes() == rest.features["price"].distinct.to_bytes()

    with pytest.raises(DataError, match="the data cannot be read") as caught:
        profile(damaged, partition_rows=ROWS, engine=any_engine)
    assert "damaged.parquet, rows 200 to 400" in str(caught.value.where)
    assert "--skip-failed" in str(caught.value.fix)


def test_a_check_without_a_part_finds_that_it_is_left_out(
    table: pl.DataFrame, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PART_ROWS", ROWS)
    report = SCHEMA.check(damaged, baseline=damaged, now=NOW, on_error="skip")
    told = [finding for finding in report.findings if finding.code == "skipped_part"]
    assert [finding.severity for finding in told] == ["error", "warning"]
    assert told[0].message.startswith("1 part with 200 rows could not be worked on and is left out")
    assert (told[0].evidence.count, told[0].evidence.total) == (200, table.height)
    assert report.exit_code == 3
    found = {row for row in report.rows["row_id"] if not 200 <= row < 400}
    assert found == set(report.rows["row_id"])
    assert 1100 in found  # a key that its first half repeats, on both sides of the gap
    with pytest.raises(DataError, match="nobody knows which of their rows are good"):
        quarantine(damaged, report)


def test_a_table_of_which_no_part_can_be_read(table: pl.DataFrame, tmp_path: Path) -> None:
    table.write_parquet(path := tmp_path / "gone.parquet", row_group_size=ROWS)
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    size = table.height
    with pytest.raises(DataError, match="cannot be read"):
        profile(path, partition_rows=size, engine="inline", on_error="skip")
    with pytest.raises(UsageError, match="on_error 'raise' or 'skip', found 'stop'"):
        profile(path, on_error="stop")  # type: ignore[arg-type]


def _dies_over_nine(parts: list[FilePart]) -> list[int]:
    if any(part.number == 9 for part in parts):
        os.kill(os.getpid(), signal.SIGKILL)
    return [part.number for part in parts]


def test_of_a_run_that_kills_its_workers_only_one_part_is_left_out(tmp_path: Path) -> None:
    pl.DataFrame({"n": range(320)}).write_parquet(path := tmp_path / "n.parquet")
    failed = FailedParts("skip")
    with LocalProcesses(1) as engine:
        # Behind so many workers a run of so many parts is of two.
        engine.parallelism = 17
        found = list(map_runs(engine, _dies_over_nine, open_stream(path), 5, failed))
    assert [state for state, *_ in found] == [
        *([n, n + 1] for n in range(0, 8, 2)), [8], None, *([n, n + 1] for n in range(10, 64, 2))
    ]  # fmt: skip
    assert [parts for _, parts, _ in found] == [2] * 4 + [1, 1] + [2] * 27
    (left_out,) = failed.skipped
    assert left_out.where.endswith("n.parquet, rows 45 to 50")
    assert "SIGKILL" in left_out.reason
    assert left_out.reason.endswith("in each of 3 tries")


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
