from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import DataError
from gristmill.data.table import as_table
from gristmill.label.functions.partition_votes import ids_first
from gristmill.label.functions.row_source import FrameRows, open_source

TABLE = pl.DataFrame({"n": range(7), "text": list("abcdefg")})
WITH_IDS = TABLE.with_columns(pl.Series("row_id", [f"r{n}" for n in range(7)]))


@pytest.fixture(params=["csv", "parquet", "jsonl", "csv.gz"])
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("table", [TABLE, WITH_IDS])
def test_a_file_gives_the_rows_that_a_frame_gives(
    tmp_path: Path, suffix: str, table: pl.DataFrame
) -> None:
    from gristmill.data.formats import write_table

    path = write_table(table, tmp_path / f"t.{suffix}")
    wanted = ids_first(as_table(table))
    for source in (open_source(path, 3), open_source(str(path), 3), open_source(table, 3)):
        parts = list(source.parts())
        assert [(part.start, part.rows) for part in parts] == [(0, 3), (3, 3), (6, 1)]
        assert pl.concat(ids_first(part.read()) for part in parts).equals(wanted)
        assert pl.concat(part.row_ids() for part in parts).equals(wanted["row_id"])
        assert source.row_ids().equals(wanted["row_id"], check_names=True)
        assert source.rows == 7
        assert ids_first(source.whole([])).equals(wanted)
        assert source.whole(["n"]).select("row_id", "n").equals(wanted[["row_id", "n"]])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_of_a_file_only_the_columns_asked_for_are_read(tmp_path: Path, suffix: str) -> None:
    from gristmill.data.formats import write_table

    source = open_source(write_table(WITH_IDS, tmp_path / f"t.{suffix}"), 3)
    assert source.whole(["text"]).columns == ["row_id", "text"]
    assert [part.read(["n"]).columns for part in source.parts()] == [["row_id", "n"]] * 3


def test_a_frame_is_not_copied() -> None:
    source = open_source(WITH_IDS, 3)
    assert isinstance(source, FrameRows)
    assert source.whole([]) is WITH_IDS


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for name, rows in (("a", TABLE[:2]), ("b", TABLE[2:])):
        rows.write_parquet(tmp_path / f"{name}.parquet")
    source = open_source([tmp_path / "a.parquet", tmp_path / "b.parquet"], 3)
    assert source.whole([]).equals(as_table(TABLE))
    assert [part.rows for part in source.parts()] == [3, 3, 1]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_without_rows_has_no_partitions(tmp_path: Path, suffix: str) -> None:
    from gristmill.data.formats import write_table

    for table in (TABLE.clear(), WITH_IDS.clear()):
        source = open_source(write_table(table, tmp_path / f"t.{suffix}"), 3)
        assert list(source.parts()) == []
        assert len(source.row_ids()) == 0


@pytest.mark.parametrize(
    ("ids", "message"),
    [(["a", "b", "a"], "has value 'a' more than once"), (["a", None, "b"], "has 1 empty cells"),
     ([1.5, 2.5], "must be integer or string, found Float64")],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_row_ids_are_checked(
    tmp_path: Path, suffix: str, ids: list[str | float | None], message: str
) -> None:
    from gristmill.data.formats import write_table

    table = pl.DataFrame({"row_id": ids, "n": range(len(ids))})
    with pytest.raises(DataError, match=message):
        open_source(write_table(table, tmp_path / f"t.{suffix}"), 1).row_ids()


def test_a_path_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv"):
        open_source(tmp_path / "nothing.csv", 1)
