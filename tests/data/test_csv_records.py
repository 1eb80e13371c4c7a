from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.data.csv_records import field_count_problem, records


def test_lines_cells_and_text():
    found = list(records('a,b\r\n\n1,"x\r\ny"\r\n2,z', ","))
    assert [(r.line, r.cells) for r in found] == [
        (1, ["a", "b"]),
        (3, ["1", "x\r\ny"]),
        (5, ["2", "z"]),
    ]
    assert found[1].text == '1,"x\r\ny"'
    assert not any(r.problem for r in found)


def test_an_unclosed_quote_costs_one_line():
    found = list(records('1,2\n3,"open\n5,6\n', ","))
    assert [(r.line, r.cells, r.problem) for r in found] == [
        (1, ["1", "2"], ""),
        (2, [], "a quote opens here and never closes"),
        (3, ["5", "6"], ""),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('1,"a"b', "text follows a closing quote (a quote inside a cell is written twice)"),
        ("1,\x00", "field 2 holds a NUL byte"),
        ("1,caf\udce9", "field 2 holds the byte 0xE9, not valid text"),
        ("1,a\rb", "a carriage return stands inside an unquoted cell"),
        (
            '1,"' + "x" * 140_000,
            "a cell is longer than 131,072 characters, perhaps a quote that never closes",
        ),
    ],
)
def test_problems(line, problem):
    (bad, good) = records(f"{line}\n2,3\n", ",")
    assert bad.problem == problem
    assert bad.text == line
    assert good.cells == ["2", "3"]


def test_field_count():
    (record,) = records("1,2\n", ",")
    assert field_count_problem(record, 2) == ""
    assert field_count_problem(record, 3) == "expected 3 fields as in the header, found 2"


@given(
    st.lists(
        st.lists(st.text('ab",\n é', max_size=4), min_size=2, max_size=3), min_size=1, max_size=6
    )
)
def test_reads_back_what_the_csv_module_wrote(rows):
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    assert [record.cells for record in records(out.getvalue(), ",")] == rows


@given(st.text('a,"\n', max_size=20))
def test_every_line_with_content_is_in_some_record(text):
    found = list(records(text, ","))
    covered = {line for r in found for line in range(r.line, r.line + r.text.count("\n") + 1)}
    assert {n for n, line in enumerate(text.split("\n"), 1) if line} <= covered
