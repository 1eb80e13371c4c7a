from __future__ import annotations

import gzip
import json
import pickle
from functools import partial

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gristmill.core.errors import DataError, UsageError
from gristmill.data import text_blocks
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
    numbers = pl.Series("n", range(200), dtype=pl.Int32)
    return pl.DataFrame([numbers, numbers.cast(pl.String).alias("s"), (numbers / 3).alias("x")])


@pytest.mark.parametrize("rows", [7, 64, 100, 150, 5000])
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
    assert sum(heights) == parts.rows == 200
    if exact:
        assert set(heights[:-1]) <= {rows}
    assert_frame_equal(whole(data, rows=rows, exact=exact), streamed(data))


def test_parts_end_where_row_groups_do(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet", row_group_size=64)
    assert [part.rows for part in file_parts(path, rows=150)] == [128, 72]
    assert [part.rows for part in file_parts(path, rows=50)] == [50, 14] * 3 + [8]


def test_parts_are_small_whatever_they_name(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet")
    assert len(pickle.dumps(file_parts(path)[0])) < 1000


def test_only_some_columns(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet")
    (part,) = file_parts(path)
    assert part.read(["x", "n"]).columns == ["row_id", "x", "n"]
    assert part.read([]).equals(pl.DataFrame({"row_id": range(200)}))
    with pytest.raises(UsageError, match="the table has no column 'y'"):
        part.read(["y"])


def test_several_files_are_one_table(table, tmp_path):
    table[:60].write_parquet(tmp_path / "a.parquet")
    table[60:].drop("x").write_parquet(tmp_path / "b.parquet")
    pattern = str(tmp_path / "*.parquet")
    parts = file_parts(pattern, rows=80)
    assert [part.start for part in parts] == [0, 60, 140]
    assert [note.code for note in parts.notes] == ["absent_column"]
    assert_frame_equal(whole(pattern), streamed(pattern))
    assert_frame_equal(whole(pattern, rows=70, exact=True), streamed(pattern))
    assert parts[1].read(["x"])["x"].null_count() == 80


def test_a_part_of_files_that_differ(tmp_path):
    """Columns in another order, one that a file lacks, one of another type."""
    first = pl.DataFrame({"row_id": ["a", "b"], "x": [1, 2], "y": ["p", "q"]})
    second = pl.DataFrame({"y": ["r", "s"], "x": [0.5, 1.5]})
    first.write_parquet(tmp_path / "1.parquet")
    second.write_parquet(tmp_path / "2.parquet")
    first.drop("y").write_parquet(tmp_path / "3.parquet")
    (part,) = file_parts(tmp_path / "*.parquet", rows=6, exact=True)
    read = part.read()
    assert read["row_id"].to_list() == ["a", "b", "row 2", "row 3", "a", "b"]
    assert read["x"].to_list() == [1, 2, 0.5, 1.5, 1, 2]
    assert read["y"].to_list() == ["p", "q", "r", "s", None, None]
    assert part.read(["y"]).columns == ["row_id", "y"]


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
    *_, last = file_parts(path, rows=120)
    table[:140].write_parquet(path)
    with pytest.raises(DataError, match="expected 80 rows, found 20: the file has changed"):
        last.read()
    path.unlink()
    with pytest.raises(DataError, match=r"there is no such file on .*, where it is to be read"):
        last.read()


def test_a_damaged_footer(table, tmp_path):
    table.write_parquet(path := tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="damaged"):
        file_parts(path)


def check_text(path, rows: int, block: int, kinds: dict[str, str] | None = None) -> None:
    """Check that rows, ids, types and what is set aside are those of the stream."""
    before = text_blocks.BLOCK_BYTES, text_blocks.HEAD_BYTES
    text_blocks.BLOCK_BYTES, text_blocks.HEAD_BYTES = block, block
    try:
        stream = open_stream(path, kinds=kinds, rows=10**6)
        expected = list(stream.parts())
        parts = pickle.loads(pickle.dumps(file_parts(path, kinds=kinds, rows=rows)))
        found = [part.read() for part in parts]
    finally:
        text_blocks.BLOCK_BYTES, text_blocks.HEAD_BYTES = before
    assert [frame.height for frame in found] == [part.rows for part in parts]
    assert all(part.rows <= rows for part in parts)
    assert cells(found) == cells(expected)
    assert parts.log.unreadable.equals(stream.unreadable)
    assert parts.log.unreadable_count == stream.unreadable_count
    assert parts.notes == stream.notes


def cells(frames: list[pl.DataFrame]) -> list[tuple[str, pl.DataType, object]]:
    """Return all cells with their columns and types."""
    return [
        (name, frame.schema[name], value)
        for frame in frames
        for row in frame.rows(named=True)
        for name, value in row.items()
    ]


CELLS = st.one_of(
    st.sampled_from(["1", "-7", "007", "2.5", "x", "", "é", '"a,b"', '"a\nb"', '"a""b"', '"', "\r",
                     "true", "2024-01-02", "a\x00b"]),
    st.text("ab1,\"\n\r;é ", max_size=4),
)  # fmt: skip
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=3).map(",".join), min_size=1, max_size=40)


@settings(max_examples=40)
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.integers(1, 12), st.integers(8, 200),
       st.sampled_from(["utf-8", "cp1252", "utf-8-sig"]))  # fmt: skip
def test_blocks_of_dirty_csv(tmp_path_factory, lines, end, rows, block, encoding):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(end.join(["a,b", *lines]).encode(encoding))
    check_text(path, rows, block)


VALUES = st.sampled_from([1, 2.5, "x", "é", None, True, [1], {"k": 1}, "2024-01-02", 2**70])
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
JSON_LINES = st.lists(
    st.one_of(
        OBJECTS.map(partial(json.dumps, ensure_ascii=False)), st.sampled_from(["", "{", "7", "[]"])
    ),
    max_size=30,
)


@settings(max_examples=40)
@given(JSON_LINES, st.integers(1, 12), st.integers(8, 200), st.sampled_from(["utf-8", "cp1252"]))
def test_blocks_of_dirty_json_lines(tmp_path_factory, lines, rows, block, encoding):
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_bytes("\n".join(['{"a": 0}', *lines]).encode(encoding))
    check_text(path, rows, block)


@pytest.mark.parametrize("write", [gzip.compress, lambda data: data.decode().encode("utf-16"),
                                   lambda data: data.replace(b"\n", b"\r")],
                         ids=["gzip", "utf-16", "carriage returns"])  # fmt: skip
def test_files_that_are_read_from_their_beginning(tmp_path, write):
    path = tmp_path / "a.csv"
    lines = ["n,t", *(f"{i},é{i}" for i in range(500)), "07,x"]
    path.write_bytes(write("\n".join(lines).encode()))
    check_text(path, 10**6, 1000, {"n": "string", "t": "string"})
    check_text(path, 60, 1000, {"n": "string", "t": "string"})
    before = text_blocks.BLOCK_BYTES
    text_blocks.BLOCK_BYTES = 1000
    try:
        (part,) = file_parts(path)
        numbers = part.read(["n"])["n"]
    finally:
        text_blocks.BLOCK_BYTES = before
    assert numbers.to_list() == [*map(str, range(500)), "07"]


def test_a_line_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(text_blocks, "MAX_RECORD_BYTES", 100)
    path = tmp_path / "a.csv"
    for length in (50, 150, 300, 5000):
        path.write_text("a,b\n1,2\n" + "x" * length + "\n3,4\n" * 40)
        check_text(path, 7, 64)
