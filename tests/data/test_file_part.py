from __future__ import annotations

import pickle

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gristmill.core.errors import DataError, UsageError
from gristmill.data.file_part import file_parts
from gristmill.data.stream import open_stream


def whole(data, **options) -> pl.DataFrame:
    """Read a table by its parts, each as another process would."""
    parts = pickle.loads(pickle.dumps(file_parts(data, **options)))
    frames = [part.read() for part in parts]
    assert [part.rows for part in parts] == [frame.height for frame in frames]
    assert [part.number for part in parts] == list(range(len(parts)))
    return pl.concat(frames)


def streamed(data) -> pl.DataFrame:
    return pl.concat(open_stream(data).parts())


@pytest.fixture
def table() -> pl.DataFrame:
    numbers = pl.Series("n", range(1000), dtype=pl.Int32)
    return pl.DataFrame([numbers, numbers.cast(pl.String).alias("s"), (numbers / 3).alias("x")])


@pytest.mark.parametrize("rows", [1, 7, 64, 100, 150, 5000])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "frame"])
def test_rows_are_those_of_the_stream(table, tmp_path, rows, exact, kind):
    if kind == "parquet":
        table.write_parquet(data := tmp_path / "a.parquet", row_group_size=64)
    elif kind == "arrow":
        table.write_ipc(data := tmp_path / "a.arrow")
    else:
        data = table
    parts = file_parts(data, rows=rows, exact=exact)
    heights = [part.rows for part in parts]
    assert max(heights) <= rows
    assert sum(heights) == parts.rows == 1000
    if exact:
        assert set(heights[:-1]) <= {rows}
    assert_frame_equal(whole(data, rows=rows, exact=exact), streamed(data))


def test_parts_end_where_row_groups_do(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet", row_group_size=64)
    assert [part.rows for part in file_parts(path, rows=200)][:3] == [192, 192, 192]
    assert [part.rows for part in file_parts(path, rows=50)][:4] == [50, 14, 50, 14]


def test_parts_are_small_whatever_they_name(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet")
    assert len(pickle.dumps(file_parts(path)[0])) < 1000


def test_only_some_columns(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet")
    (part,) = file_parts(path)
    assert part.read(["x", "n"]).columns == ["row_id", "x", "n"]
    assert part.read([]).equals(pl.DataFrame({"row_id": range(1000)}))
    with pytest.raises(UsageError, match="the table has no column 'y'"):
        part.read(["y"])


def test_several_files_are_one_table(table, tmp_path):
    table[:300].write_parquet(tmp_path / "a.parquet")
    table[300:].drop("x").write_parquet(tmp_path / "b.parquet")
    pattern = str(tmp_path / "*.parquet")
    parts = file_parts(pattern, rows=400)
    assert [part.start for part in parts] == [0, 300, 700]
    assert [note.code for note in parts.notes] == ["absent_column"]
    assert_frame_equal(whole(pattern), streamed(pattern))
    assert_frame_equal(whole(pattern, rows=350, exact=True), streamed(pattern))
    assert parts[1].read(["x"])["x"].null_count() == 400


@pytest.mark.parametrize("ids", [["a", "b", None], [5, 6, 7], [1, None, 3]])
def test_own_row_ids(tmp_path, ids):
    pl.DataFrame({"x": [1, 2, 3], "row_id": ids}).write_parquet(path := tmp_path / "a.parquet")
    assert file_parts(path).has_ids
    assert_frame_equal(whole(path), streamed(path))


def test_a_table_without_rows(table, tmp_path):
    table[:0].write_parquet(path := tmp_path / "a.parquet")
    assert_frame_equal(whole(path), streamed(path))
    assert file_parts(path)[0].read(["s"]).schema == {"row_id": pl.Int64, "s": pl.String}


def test_a_file_that_changed(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet")
    *_, last = file_parts(path, rows=600)
    table[:700].write_parquet(path)
    with pytest.raises(DataError, match="expected 400 rows, found 100: the file has changed"):
        last.read()
    path.unlink()
    with pytest.raises(DataError, match=r"there is no such file on .*, where it is to be read"):
        last.read()


def test_a_damaged_footer(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="damaged"):
        file_parts(path)
