from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import DataError
from gristmill.data.table import as_table
from gristmill.label.functions.row_source import FileRows, FrameRows, open_source

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
    for source in (open_source(path, 3), open_source(str(path), 3), open_source(table, 3)):
        frames = list(source.frames())
        assert [frame.height for frame in frames] == [3, 3, 1]
        assert pl.concat(frames).equals(as_table(table))
        assert source.row_ids().equals(as_table(table)["row_id"], check_names=True)
        assert source.whole([]).equals(as_table(table))
        assert source.whole(["n"]).select("row_id", "n").equals(as_table(table)[["row_id", "n"]])


def test_of_a_file_only_the_columns_asked_for_come_whole(tmp_path: Path) -> None:
    WITH_IDS.write_parquet(tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet", 3)
    assert source.whole(["text"]).columns == ["text", "row_id"]
    assert source.rows == 7


def test_a_frame_is_not_copied() -> None:
    source = open_source(WITH_IDS, 3)
    assert isinstance(source, FrameRows)
    assert source.whole([]) is WITH_IDS


def test_how_many_rows_a_file_without_ids_has_is_known_at_the_end(tmp_path: Path) -> None:
    TABLE.write_csv(tmp_path / "t.csv")
    source = open_source(tmp_path / "t.csv", 3)
    assert isinstance(source, FileRows)
    assert source.rows is None
    list(source.frames())
    assert source.row_ids().to_list() == list(range(7))


def test_a_file_without_rows_has_no_partitions(tmp_path: Path) -> None:
    for table in (TABLE.clear(), WITH_IDS.clear()):
        table.write_parquet(tmp_path / "t.parquet")
        source = open_source(tmp_path / "t.parquet", 3)
        assert list(source.frames()) == []
        assert len(source.row_ids()) == 0


@pytest.mark.parametrize(
    ("ids", "message"),
    [(["a", "b", "a"], "has value 'a' more than once"), (["a", None, "b"], "has 1 empty cells")],
)
def test_row_ids_are_checked_before_anything_is_asked(
    tmp_path: Path, ids: list[str | None], message: str
) -> None:
    pl.DataFrame({"row_id": ids}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        open_source(tmp_path / "t.parquet", 1)


def test_a_path_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv"):
        open_source(tmp_path / "nothing.csv", 1)
