from __future__ import annotations

import gzip
import string

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gristmill.core.errors import DataError, UsageError
from gristmill.data.formats import (
    format_of,
    read_partitions,
    read_table,
    read_table_with_rejects,
    require_rows,
    scan_table,
    write_table,
)

FRAME = pl.DataFrame(
    {"id": [1, 2, 3], "text": ["a,b", None, 'say "hi"\nü'], "x": [0.5, -1.0, None]}
)
SUFFIXES = [".csv", ".tsv", ".csv.gz", ".jsonl", ".ndjson.gz", ".parquet", ".arrow"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, suffix):
    path = write_table(FRAME, tmp_path / f"t{suffix}")
    assert_frame_equal(read_table(path), FRAME)
    assert_frame_equal(scan_table(path).collect(), FRAME)
    assert_frame_equal(pl.concat(read_partitions(path, rows=2)), FRAME)
    first = path.read_bytes()
    assert write_table(FRAME, path).read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", "csv"), ("A.CSV.GZ", "csv"), ("a.tab", "tsv"), ("a.pq", "parquet")],
)
def test_format_of(tmp_path, name, kind):
    assert format_of(tmp_path / name) == kind


def test_unknown_suffix(write):
    with pytest.raises(DataError) as error:
        read_table(write("a.xlsx", b"PK"))
    assert error.value.message == "cannot tell the format from the suffix '.xlsx'"
    assert error.value.fix == (
        "use a suffix such as .csv or .parquet, or say format= (arrow, csv, jsonl, parquet, tsv)"
    )


def test_unknown_format(write):
    with pytest.raises(UsageError, match="unknown format 'excel'"):
        read_table(write("a.csv", "a\n1\n"), format="excel")


class TestCsv:
    def test_types_are_decided_by_every_cell(self, write):
        rows = "".join(f"{i},{i}\n" for i in range(20_000))
        frame = read_table(write("a.csv", f"a,b\n{rows}oops,1\n"))
        assert frame.schema == {"a": pl.String, "b": pl.Int64}
        assert frame["a"][-1] == "oops"

    def test_columns_as_text(self, write):
        frame = read_table(write("a.csv", "a,b\n1,\n"), columns_as_text=True)
        assert frame.rows() == [("1", None)]
        assert set(frame.dtypes) == {pl.String}

    def test_header_only_is_legal_until_rows_are_required(self, write):
        frame = read_table(write("a.csv", "a,b\n"))
        assert (frame.columns, frame.height) == (["a", "b"], 0)
        with pytest.raises(DataError) as error:
            require_rows(frame, "a.csv")
        assert str(error.value).startswith(
            "a.csv: expected at least one row, found a header with 2 columns and no rows"
        )
        assert require_rows(FRAME, "x") is FRAME

    def test_header_without_a_line_end(self, write):
        assert read_table(write("a.csv", "a,b")).columns == ["a", "b"]

    def test_blank_file(self, write):
        with pytest.raises(DataError, match="the file has only blank lines"):
            read_table(write("a.csv", "\n\n"))

    @pytest.mark.parametrize("mark", [";", "\t", "|"])
    def test_wrong_delimiter(self, write, mark):
        path = write("a.csv", f"id{mark}text\n1{mark}x\n")
        with pytest.raises(DataError) as error:
            read_table(path)
        assert error.value.where == f"{path}, line 1"
        assert error.value.fix == (
            f"write it with ',' between cells, or in Python pass delimiter={mark!r}"
        )
        assert read_table(path, delimiter=mark).rows() == [(1, "x")]

    def test_commas_in_a_tsv(self, write):
        with pytest.raises(DataError, match="'a,b', with a comma in its name"):
            read_table(write("a.tsv", "a,b\n1,2\n"))

    @pytest.mark.parametrize("delimiter", ["", ";;", "é", "\n", '"'])
    def test_impossible_delimiter(self, write, delimiter):
        path = write("a.csv", "a,b\n1,2\n")
        if delimiter == "":
            assert read_table(path, delimiter=delimiter).width == 2
            return
        with pytest.raises(UsageError, match="expected a delimiter of one ASCII character"):
            read_table(path, delimiter=delimiter)

    @pytest.mark.parametrize(("row", "found"), [("5", 1), ("5,6,7", 3)])
    def test_ragged_row(self, write, row, found):
        path = write("a.csv", f'a,b\n1,"x\ny"\n{row}\n8,9\n')
        with pytest.raises(DataError) as error:
            read_table(path)
        assert str(error.value) == (
            f"{path}, line 4: expected 2 fields as in the header, found {found}\n"
            "  fix: correct the line, or set bad rows aside with `gristmill validate rows`, "
            "in Python with read_table_with_rejects()"
        )

    def test_repeated_names(self, write):
        with pytest.raises(DataError) as error:
            read_table(write("a.csv", "a,b,a\n1,2,3\n"))
        assert error.value.message == "the header has column 'a' more than once (columns 1, 3)"

    def test_columns_without_a_name(self, write):
        assert read_table(write("a.csv", ",b,\n1,2,3\n")).columns == ["column_1", "b", "column_3"]

    def test_latin_1(self, write):
        path = write("a.csv", "a,b\n1,caf\xe9\n".encode("latin-1"))
        with pytest.raises(DataError, match=r"a\.csv, line 2: byte 0xE9 at offset 9"):
            read_table(path)
        assert read_table(path, encoding="latin-1").rows() == [(1, "café")]

    def test_byte_order_mark(self, write):
        path = write("a.csv", b"\xef\xbb\xbfa,b\n1,2\n")
        assert read_table(path).columns == ["a", "b"]
        assert scan_table(path).collect().columns == ["a", "b"]

    def test_nul(self, write):
        with pytest.raises(DataError, match=r"line 3: field 2 holds a NUL byte"):
            read_table(write("a.csv", "a,b\n1,2\n3,\x00\n"))

    def test_blank_lines_and_stray_quotes(self, write):
        path = write("a.csv", 'a,b\n\n1,5" disk\n\n2,x\n\n\n')
        for frame in (read_table(path), scan_table(path).collect(), *read_partitions(path)):
            assert frame.rows() == [(1, '5" disk'), (2, "x")]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_line_ends(self, write, end):
        path = write("a.csv", f"a,b{end}1,2{end}3,4{end}")
        assert read_table(path).rows() == [(1, 2), (3, 4)]
        assert scan_table(path).collect().rows() == [(1, 2), (3, 4)]

    @pytest.mark.parametrize("tail", ["", "\n", "\n\n", "\r\n\r\n\n"])
    def test_line_ends_at_the_end(self, write, tail):
        path = write("a.csv", f"a,b\n1,2{tail}")
        assert read_table(path).rows() == [(1, 2)]
        assert scan_table(path).collect().rows() == [(1, 2)]
        assert [part.rows() for part in read_partitions(path)] == [[(1, 2)]]

    def test_quoted_line_end_in_the_header(self, write):
        path = write("a.csv", '"a\nx",b\n1,2\n')
        assert read_table(path).to_dict(as_series=False) == {"a\nx": [1], "b": [2]}
        assert scan_table(path).collect().columns == ["a\nx", "b"]


class TestRejects:
    def test_bad_rows_are_set_aside_with_their_lines(self, write):
        body = b'a,b\n1,x\n2\n3,caf\xe9\n4,"open\n5,y\n6,\x00\n'
        good, bad = read_table_with_rejects(write("a.csv", body))
        assert good.rows() == [(1, "x"), (5, "y")]
        assert bad.rows() == [
            (3, "2", "expected 2 fields as in the header, found 1"),
            (4, "3,caf\ufffd", "field 2 holds the byte 0xE9, not valid text"),
            (5, '4,"open', "a quote opens here and never closes"),
            (7, "6,\x00", "field 2 holds a NUL byte"),
        ]

    def test_a_good_file_has_none(self, write):
        good, bad = read_table_with_rejects(write("a.csv", "a\n1\n"))
        assert (good.rows(), bad.height) == ([(1,)], 0)
        assert bad.schema == {"line": pl.Int64, "text": pl.String, "reason": pl.String}

    def test_json_lines(self, write):
        good, bad = read_table_with_rejects(
            write("a.jsonl", b'{"a":1}\n{"a":\n[2]\n{"a":"\xe9"}\n\n{"a":3}')
        )
        assert good["a"].to_list() == [1, 3]
        assert bad["line"].to_list() == [2, 3, 4]
        assert bad["reason"][1] == "expected a JSON object on the line, found an array"

    def test_parquet_has_none(self, tmp_path):
        good, bad = read_table_with_rejects(write_table(FRAME, tmp_path / "t.parquet"))
        assert_frame_equal(good, FRAME)
        assert bad.height == 0


class TestJsonLines:
    def test_the_bad_line_is_named(self, write):
        path = write("a.jsonl", '{"a":1}\n\n{"a":}\n')
        with pytest.raises(DataError, match=r"a\.jsonl, line 3: the line is not JSON"):
            read_table(path)

    def test_missing_keys_are_null_and_numbers_join(self, write):
        frame = read_table(write("a.jsonl", '{"a":1}\n{"a":2.5,"b":"x"}\n'))
        assert frame.rows() == [(1.0, None), (2.5, "x")]

    def test_mixed_scalars_become_text(self, write):
        frame = read_table(write("a.jsonl", '{"a":1}\n{"a":"x"}\n{"a":true}\n{"a":null}\n'))
        assert frame["a"].to_list() == ["1", "x", "true", None]

    def test_columns_as_text(self, write):
        frame = read_table(write("a.jsonl", '{"a":1,"b":[1]}\n'), columns_as_text=True)
        assert frame.rows() == [("1", [1])]

    def test_mixed_shapes_are_refused(self, write):
        path = write("a.jsonl", '{"a":1}\n{"a":null}\n{"a":[1]}\n')
        with pytest.raises(DataError) as error:
            read_table(path)
        assert error.value.message == "expected int as on earlier lines, found list"
        assert error.value.where == f"{path}, line 3, column 'a'"


class TestBinary:
    @pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
    def test_another_kind_of_file(self, write, suffix):
        with pytest.raises(DataError, match="which begins with"):
            read_table(write(f"a{suffix}", b"a,b\n1,2\n"))

    @pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
    def test_a_cut_file(self, tmp_path, suffix):
        path = write_table(FRAME, tmp_path / f"t{suffix}")
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DataError, match="data is damaged"):
            read_table(path)


class TestWrite:
    def test_nested_columns_in_csv(self, tmp_path):
        with pytest.raises(DataError, match="found in columns probs"):
            write_table(pl.DataFrame({"probs": [[0.5, 0.5]]}), tmp_path / "a.csv")
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(DataError, match="the file cannot be written"):
            write_table(FRAME, tmp_path / "file" / "a.csv")

    def test_gzip_carries_no_time(self, tmp_path):
        data = write_table(FRAME, tmp_path / "a.csv.gz").read_bytes()
        assert data[4:8] == b"\0\0\0\0"
        assert gzip.decompress(data).startswith(b"id,text,x\n")


class TestPartitions:
    # JSON Lines without lines would be an empty file.
    @pytest.mark.parametrize("suffix", [s for s in SUFFIXES if "json" not in s])
    def test_no_rows_is_one_empty_frame(self, tmp_path, suffix):
        path = write_table(FRAME.clear(), tmp_path / f"t{suffix}")
        assert [part.height for part in read_partitions(path)] == [0]

    def test_one_set_of_types(self, write):
        path = write("a.csv", "a\n1\n2\n3.5\nx\n")
        assert [p["a"].to_list() for p in read_partitions(path, 2)] == [["1", "2"], ["3.5", "x"]]

    def test_at_least_one_row(self, write):
        with pytest.raises(UsageError, match="expected at least 1 row per partition, found 0"):
            read_partitions(write("a.csv", "a\n1\n"), 0)


CELL = st.one_of(st.none(), st.text(string.printable + "éß", min_size=1, max_size=6))


@settings(deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.integers(1, 5))
def test_text_survives_csv(tmp_path_factory, rows, size):
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    path = write_table(frame, tmp_path_factory.mktemp("csv") / "t.csv")
    assert_frame_equal(read_table(path, columns_as_text=True), frame)
    whole = read_table(path)
    assert_frame_equal(pl.concat(read_partitions(path, size)), whole)
    assert_frame_equal(scan_table(path).collect(), whole)


@settings(deadline=None)
@given(st.binary(max_size=30))
def test_any_bytes_are_read_or_refused_politely(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("raw") / "t.csv"
    path.write_bytes(b"a,b\n" + data)
    try:
        frame = read_table(path)
    except DataError:
        frame = None
    good, bad = read_table_with_rejects(path)
    if frame is not None:
        assert_frame_equal(good, frame)
        assert bad.height == 0
    else:
        assert bad.height > 0
