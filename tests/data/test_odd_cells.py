from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.data import odd_cells
from gristmill.data.odd_cells import odd_columns

ODD = re.compile(r"-?0[0-9]|[+ \t]")
# Sound in numbers, and so never to be called odd, though a zero or a sign begins them.
SOUND = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+|")
CELL = st.one_of(
    st.sampled_from(["007", "-01", "+1", " 7", "\t7", " -7", "0", "0.05", "-0", "-0.07", "", "é0",
                     "2024-01-02 05:00", "8 - 05", "0118 - x", ".05", "00", "- 0"]),
    st.text("0123456789.-+ \tea", max_size=5),
)  # fmt: skip


def slow(rows: list[list[str]]) -> tuple[set[int], set[int]]:
    """Return the columns with an odd cell, and those with a cell that may be called odd."""
    odd = {i for row in rows for i, cell in enumerate(row) if ODD.match(cell)}
    unsure = {i for row in rows for i, cell in enumerate(row) if not SOUND.fullmatch(cell)}
    return odd, unsure


@settings(deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=12)
    ),
    st.sampled_from([",", ";", "|"]),
    st.sampled_from([1, 7, 64, 1 << 17]),
    st.sampled_from([0, 1 << 12]),
    st.booleans(),
)
def test_finds_the_columns_of_odd_cells(rows, mark, window, few, quoted):
    quote = '"' if quoted else ""
    text = "".join(mark.join(f"{quote}{cell}{quote}" for cell in row) + "\n" for row in rows)
    before = odd_cells._WINDOW, odd_cells._FEW
    odd_cells._WINDOW, odd_cells._FEW = window, few
    try:
        found = odd_columns(text.encode(), ord(mark), len(rows[0]), quoted=quoted)
    finally:
        odd_cells._WINDOW, odd_cells._FEW = before
    odd, unsure = slow(rows)
    assert odd <= found <= unsure | odd


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('"say ""hi"" 5",1\n', set()),
        ('"a, 007",1\n', set()),
        ('"a\n007",1\n', set()),
        ('"a\n,b","007"\n', {1}),
        ('a, 7\n"x","1"\n', {1}),
        ('"",007\n', {1}),
    ],
)
def test_what_stands_inside_quoted_text_is_no_cell(text, columns):
    assert odd_columns(text.encode(), ord(","), 2, quoted=True) == columns
