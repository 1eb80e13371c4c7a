from __future__ import annotations

import csv
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.data import csv_layout
from gristmill.data.csv_layout import clean_layout


def layout(text: str | bytes, fields: int, every: int = 1 << 62):
    data = text if isinstance(text, bytes) else text.encode()
    return clean_layout(np.frombuffer(data, np.uint8), ",", fields, every)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", 0),
        ("1,2", 1),
        ("1,2\n3,4", 2),
        ('1,"a,b"\n"x\ny",4', 2),
        ('1,"a ""b"" c"\r\n2,""', 2),
        (",\n,", 2),
    ],
)
def test_clean(text, rows):
    assert layout(text, 2).rows == rows


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1,2,3",
        "1,2\n3",
        "1,2\n\n3,4",
        '1,5" disk',
        '1,"open\n2,3',
        '1,"a"b',
        "1,\x002",
        "1,a\rb",
    ],
)
def test_not_clean(text):
    assert layout(text, 2) is None


@pytest.mark.parametrize("text", ["1\n\n2", "1\n\r\n2"])
def test_blank_line_in_one_column(text):
    assert layout(text, 1) is None


def test_cuts_are_where_parts_begin():
    assert layout("1\n22\n333\n4\n5", 1, every=2).cuts == [0, 5, 11]


ROWS = st.lists(
    st.lists(st.text('ab",\n\r é', max_size=4), min_size=2, max_size=2), min_size=1, max_size=8
)


@given(ROWS, st.integers(1, 11), st.integers(1, 4))
def test_whatever_the_csv_writer_writes_is_clean_in_any_block_size(rows, block, every):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    data = out.getvalue()[:-1].encode()
    before, csv_layout._BLOCK_BYTES = csv_layout._BLOCK_BYTES, block
    try:
        found = layout(data, 2, every)
    finally:
        csv_layout._BLOCK_BYTES = before
    assert found is not None
    assert found.rows == len(rows)
    ends = [*found.cuts, len(data)]
    parts = [data[a:b].decode() for a, b in pairwise(ends)]
    again = [list(csv.reader(io.StringIO(part, newline=""))) for part in parts]
    assert [row for part in again for row in part] == rows
    assert [len(part) for part in again[:-1]] == [every] * (len(again) - 1)


@given(st.text('a,"\n', max_size=14), st.integers(1, 5))
def test_clean_text_reads_the_same_under_the_csv_module(text, block):
    before, csv_layout._BLOCK_BYTES = csv_layout._BLOCK_BYTES, block
    try:
        found = layout(text.rstrip("\n"), 2)
    finally:
        csv_layout._BLOCK_BYTES = before
    if found is not None:
        rows = list(csv.reader(io.StringIO(text.rstrip("\n"), newline=""), strict=True))
        assert [len(row) for row in rows] == [2] * found.rows
