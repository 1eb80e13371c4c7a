from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.data import csv_source, text_blocks
from gristmill.data.cell_types import FLOAT, INTEGER
from gristmill.data.csv_records import field_count_problem, records
from gristmill.data.csv_source import CsvSource
from gristmill.data.read_log import ReadLog

NAMES = ["a", "b"]


def rows_of(source: CsvSource, kinds: dict[str, str], log: ReadLog) -> list[tuple[object, ...]]:
    return [row for frame in source.frames(kinds, log) for row in frame.rows()]


def slow(text: str) -> tuple[list[tuple[str | None, ...]], list[tuple[int, str, str]]]:
    """Read record by record with the csv module; the header and what repeats it left out."""
    good, bad = [], []
    for record in records(text, ","):
        problem = field_count_problem(record, len(NAMES))
        if record.text in ("a,b", "a,b\r"):
            continue
        if problem:
            bad.append((record.line, record.text, problem))
        else:
            good.append(tuple(cell or None for cell in record.cells))
    return good, bad


LINE = st.lists(
    st.sampled_from(["1", "22", "x", "", '"y"', '"p,q"', '"s\nt"', '5" d', '"o', '"c"d', "\0",
                     '""', '"e""f"', "a", "b", "é", '"a\r\nb"', '"']),
    min_size=0, max_size=3,
).map(",".join)  # fmt: skip
END = st.sampled_from(["\n", "\r\n"])


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(LINE, END), max_size=12), st.booleans(), st.integers(4, 40))
def test_dirty_text_reads_as_record_by_record_in_any_block_size(tmp_path_factory, lines, cut, size):
    text = "a,b\n" + "".join(line + end for line, end in lines)
    text = text.removesuffix("\n").removesuffix("\r") if cut else text
    path = tmp_path_factory.mktemp("dirty") / "t.csv"
    path.write_bytes(text.encode())
    log = ReadLog()
    good = rows_of(CsvSource(path, ",", size), dict.fromkeys(NAMES, "string"), log)
    expected, bad = slow(text)
    assert good == expected
    assert log.unreadable.rows() == [
        (line, shown.removesuffix("\r"), why) for line, shown, why in bad
    ]
    assert log.unreadable_count == len(bad)


CELL = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(10**15, 10**18).map(str),
    st.integers(2**53 - 3, 2**53 + 3).map(str),
    st.integers(2**53 - 3, 2**53 + 3).map("{}.0".format),
    st.floats().map(str),
    st.sampled_from(["007", "+44", " 7", "7 ", "-0", "-07", "1e5", "nan", "-inf", "Infinity", "1.",
                     ".5", "", "7.0", "9007199254740993", "0.1", "1_0", "0x1",
                     "true", "\t3", "00.5"]),
    st.text("0123456789.-+eE ", max_size=6),
)  # fmt: skip


HEADERS = st.lists(
    st.sampled_from(["a", "b", '"c"', '"d\ne"', "é", "", " ", ";", "\t", ",", ",",
                     "\n", "\r\n", "\r", "\0"]),
    min_size=1, max_size=12,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(HEADERS, st.sampled_from(["", "\ufeff"]), st.integers(1, 9), st.sampled_from(",\t"))
def test_a_small_first_block_tells_the_columns_of_a_large_one(
    tmp_path_factory, text, mark, size, delimiter
):
    path = tmp_path_factory.mktemp("header") / "t.csv"
    path.write_bytes((mark + text).encode())

    def columns():
        try:
            return CsvSource(path, delimiter).columns
        except DataError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        whole = columns()
        patch.setattr(csv_source, "_HEADER_BYTES", size)
        patch.setattr(text_blocks, "_AHEAD_BYTES", 1)
        assert columns() == whole


WHOLE = r"^-?[0-9]+(\.0*)?$"


def fits(cell: str, kind: str) -> bool:
    patterns = {"int": [INTEGER], "float": [INTEGER, FLOAT], "string": [""]}[kind]
    return any(re.search(pattern, cell, re.ASCII) for pattern in patterns)


@settings(deadline=None, max_examples=300)
@given(st.lists(CELL, min_size=1, max_size=5), st.sampled_from(["int", "float"]), st.booleans())
def test_no_cell_loses_what_it_says(tmp_path_factory, cells, kind, quoted):
    path = tmp_path_factory.mktemp("cells") / "t.csv"
    mark = '"' if quoted else ""
    lines = (f"{mark}{cell}{mark},x, 0118 - y\r\n" for cell in cells)
    path.write_bytes(("a,b,c\n" + "".join(lines)).encode())
    (frame,) = CsvSource(path, ",").frames({"a": kind, "b": "string"}, ReadLog())
    found, full = frame["a"], [cell or None for cell in cells]
    if found.dtype == pl.String:
        assert found.to_list() == full
        assert not all(fits(cell, kind) for cell in cells if cell) or any(
            re.search(WHOLE, cell) and abs(int(cell.partition(".")[0])) > 2**53 for cell in cells
        )
    else:
        assert all(fits(cell, kind) for cell in cells if cell)
        for value, cell in zip(found.to_list(), full, strict=True):
            if cell is None:
                assert value is None
            elif re.search(WHOLE, cell):
                assert int(value) == int(cell.partition(".")[0])
            else:
                assert value == float(cell) or (value != value and "nan" in cell.lower())
