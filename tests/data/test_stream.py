from __future__ import annotations

import gzip
from datetime import datetime

import polars as pl
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.data.stream import TableStream, open_stream

FRAME = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [[1], [2, 3], None]})


def rows(stream: TableStream) -> list[tuple[object, ...]]:
    return [row for part in stream.parts() for row in part.rows()]


def codes(stream: TableStream) -> list[tuple[str, int, int | None]]:
    return [(note.code, note.count, note.line) for note in stream.notes]


@pytest.mark.parametrize(
    ("content", "good", "bad", "notes"),
    [
        ("a,b\n1,x\n2\n3,y,z\n4,z\n", [(0, 1, "x"), (1, 4, "z")], [3, 4], []),
        ('a,b\n1,"x\ny"\n2,"a"b\n3,z\n', [(0, 1, "x\ny"), (1, 3, "z")], [4], []),
        ('a,b\n1,x\n2,"open\n3,y\n', [(0, 1, "x"), (1, 3, "y")], [3], []),
        ("a,b\n1,caf\xe9\n".encode("latin-1"), [(0, 1, "café")], [], [("encoding", 1, 2)]),
        (b"a,b\n1,\xc3\xa9\n2,\xff\n", [(0, 1, "é"), (1, 2, "\ufffd")], [], [("encoding", 1, 3)]),
        ("a,b\n1,é\n".encode("utf-16"), [(0, 1, "é")], [],
         [("byte_order_mark", 1, None), ("encoding", 1, None)]),
        (b"\xef\xbb\xbfa,b\n1,x\n", [(0, 1, "x")], [], [("byte_order_mark", 1, None)]),
        ("a,b\r1,x\r2,y\r", [(0, 1, "x"), (1, 2, "y")], [], [("mixed_line_ends", 1, None)]),
        ("a,b\r\n1,x\n2,y\r3,z\n", [(0, 1, "x"), (1, 2, "y"), (2, 3, "z")], [],
         [("mixed_line_ends", 1, 1)]),
        ("a,b\n1,x\na,b\n\n2,y\n", [(0, 1, "x"), (1, 2, "y")], [],
         [("repeated_header", 1, 3), ("blank_lines", 1, 4)]),
        ("a;b\n1;x\n", [(0, 1, "x")], [], [("delimiter", 1, 1)]),
        ("a,b\n1,x\n2,\x00\n", [(0, 1, "x")], [3], []),
        ("a,b\n1,x\n2", [(0, 1, "x")], [3], [("cut_short", 1, 3)]),
        ("a,b\n", [], [], []),
    ],
)  # fmt: skip
def test_dirt_is_set_aside_or_mended(write, content, good, bad, notes):
    stream = open_stream(write("t.csv", content))
    assert stream.columns == ["a", "b"]
    assert rows(stream) == good
    assert stream.unreadable["line"].to_list() == bad
    assert stream.unreadable_count == len(bad)
    assert codes(stream) == notes
    assert rows(stream) == good  # a second pass tells nothing twice
    assert codes(stream) == notes


def test_kinds_are_those_of_nearly_all_cells(write):
    lines = [f"{i},0{i},{i}.5,2024-01-{i % 28 + 1:02d},True" for i in range(100)]
    lines[7] = "7h,07,,2024-01-08T10:00:00+02:00,"
    stream = open_stream(write("t.csv", "n,zip,f,t,b\n" + "\n".join(lines)), rows=50)
    assert stream.kinds == {"n": "int", "zip": "string", "f": "float", "t": "time", "b": "bool"}
    first, second = stream.parts()
    assert first["n"].dtype == pl.String
    assert first["n"][7] == "7h"
    assert first["t"][7] == datetime(2024, 1, 8, 8)
    assert second["row_id"].to_list() == list(range(50, 100))


def test_a_column_that_fits_in_a_part_is_typed_there(write):
    stream = open_stream(write("t.csv", "n\n1\n2\n"), kinds={"n": "float"})
    (part,) = stream.parts()
    assert part["n"].to_list() == [1.0, 2.0]
    assert part["n"].dtype == pl.Float64


def test_large_integers_keep_their_digits(write):
    (part,) = open_stream(
        write("t.csv", "a,b\n18446744073709551615,99999999999999999999\n")
    ).parts()
    assert part.rows() == [(0, 18446744073709551615, "99999999999999999999")]


def test_names_are_made_unique(write):
    stream = open_stream(write("t.csv", "a,a,\n1,2,3\n"))
    assert stream.columns == ["a", "a_2", "column_3"]
    list(stream.parts())
    assert [note.message for note in stream.notes] == [
        "column 2, 'a', is called 'a_2'", "column 3, '', is called 'column_3'",
    ]  # fmt: skip


def test_gzip_cut_short(write):
    body = "".join(f"{i},{i * 7919 % 1000}\n" for i in range(20_000))
    whole = gzip.compress(f"a,b\n{body}".encode(), mtime=0)
    stream = open_stream(write("t.csv.gz", whole[:-3000]))
    found = rows(stream)
    assert 10_000 < len(found) < 20_000
    assert found[-1][1] == len(found) - 1
    assert [note.code for note in stream.notes] == ["cut_short"]
    assert stream.unreadable["reason"].to_list() == ["the file ends in the middle of this line"]


def test_files_are_joined_by_name_and_rows_number_on(write, tmp_path):
    write("1.csv", "a,b\n1,x\n")
    write("2.csv", "b,c\ny,2\nz\n")
    stream = open_stream(str(tmp_path / "*.csv"))
    assert stream.columns == ["a", "b", "c"]
    assert rows(stream) == [(0, 1, "x", None), (1, None, "y", 2)]
    assert codes(stream) == [("absent_column", 1, None)] * 2
    assert stream.unreadable["reason"][0] == ("2.csv: expected 2 fields as in the header, found 1")


def test_a_header_without_rows_decides_no_kind(write):
    files = [write("1.csv", "a\n"), write("2.csv", "a\n5\n")]
    assert open_stream(files).kinds == {"a": "int"}


def test_own_row_ids(write):
    stream = open_stream(write("t.csv", "row_id,a\n7,x\n9,y\n"))
    assert stream.columns == ["a"]
    assert rows(stream) == [(7, "x"), (9, "y")]


def test_a_line_of_many_megabytes(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,x\n" + b"y" * (20 << 20) + b"\n2,z\n3\n")
    stream = open_stream(path)
    assert rows(stream) == [(0, 1, "x"), (1, 2, "z")]
    assert stream.unreadable.select("line", "reason").rows() == [
        (3, "the record is longer than 8 MiB"),
        (5, "expected 2 fields as in the header, found 1"),
    ]


class TestJsonLines:
    def test_bad_lines_are_set_aside_and_late_keys_kept(self, write):
        text = '{"a":1}\nx\n{"a":[3]}\n\n{"a":2,"late":"2024-01-01"}\n{"a":3'
        stream = open_stream(write("t.jsonl", text))
        assert stream.kinds == {"a": "int", "late": "time"}
        assert rows(stream) == [(0, 1, None), (1, 2, datetime(2024, 1, 1))]
        assert sorted(stream.unreadable["line"].to_list()) == [2, 3, 6]
        assert [note.code for note in stream.notes] == ["cut_short", "blank_lines"]

    def test_numbers_beyond_64_bits_and_odd_cells_stay_text(self, write):
        lines = ['{"a":1,"b":1}'] * 30 + ['{"a":99999999999999999999,"b":"7h"}']
        stream = open_stream(write("t.jsonl", "\n".join(lines)))
        assert stream.kinds == {"a": "int", "b": "int"}
        assert rows(stream)[-1] == (30, "99999999999999999999", "7h")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "ipc"])
def test_binary_files(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    {"parquet": FRAME.write_parquet, "arrow": FRAME.write_ipc,
     "ipc": FRAME.write_ipc_stream}[suffix](path)  # fmt: skip
    stream = open_stream(path, rows=2)
    assert stream.kinds == {"a": "int", "b": "string", "c": "other"}
    assert [part.height for part in stream.parts()] == [2, 1]
    assert rows(stream) == FRAME.with_row_index().rows()


def test_an_arrow_stream_cut_short_gives_the_parts_until_then(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "t.arrow"
    table = pa.table({"a": list(range(10))})
    with pa.ipc.new_stream(path, table.schema) as out:
        out.write_table(table, max_chunksize=5)
    path.write_bytes(path.read_bytes()[:-30])
    stream = open_stream(path)
    assert rows(stream) == [(i, i) for i in range(5)]
    assert [note.code for note in stream.notes] == ["cut_short"]


def test_parquet_cut_short_is_an_error(tmp_path):
    path = tmp_path / "t.parquet"
    FRAME.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="the parquet data is damaged"):
        open_stream(path)


@pytest.mark.parametrize("turn", [lambda f: f, pl.DataFrame.lazy, pl.DataFrame.to_pandas,
                                  pl.DataFrame.to_arrow])  # fmt: skip
def test_frames(turn):
    frame = FRAME.select("a")
    assert rows(open_stream(turn(frame), rows=2)) == [(0, 1), (1, 2), (2, 3)]


def test_errors_only_where_nothing_can_be_read(write, tmp_path):
    with pytest.raises(DataError, match="0 bytes"):
        open_stream(write("t.csv", ""))
    with pytest.raises(DataError, match="only blank lines"):
        open_stream(write("t.csv", "\n\n"))
    with pytest.raises(DataError, match="no file fits the pattern"):
        open_stream(tmp_path / "*.tsv")
    with pytest.raises(UsageError, match="expected at least 1 row per part, found 0"):
        open_stream(FRAME, rows=0)
    with pytest.raises(UsageError, match="found an empty list"):
        open_stream([])
