"""Rows of files are judged as the server judges records."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.offline.opening import open_source
from gristmill.serve.offline.reading import ReadRows, RowReader
from gristmill.serve.runners.checking import BadRecords, Checker
from gristmill.store.signature import Field

FIELDS = [
    Field("text", "string", max_length=5),
    Field("count", "int", required=False, max=100),
    Field("size", "float"),
    Field("new", "bool", required=False),
]
VALUE = st.one_of(
    st.sampled_from([None, True, False, 0, 7, 101, 2**53 + 1, -0.0, 1.5, 3.0, 1e300]),
    st.sampled_from(["", "7", "1.5", "true", "NaN", "2024-01-02", "longer", [], ["a"], {"x": 1}]),
)


def read(path: Path) -> ReadRows:
    source = open_source(path, FIELDS)
    frame = next(iter(source.parts(1000, lambda _: True))).read()
    return RowReader(FIELDS, path.parent, is_text=source.is_text)(frame)


def verdict(checker: Checker, record: object) -> str:
    """Return what the server's check says of a record; nothing where it is good."""
    try:
        checker.rows([record])
    except BadRecords as bad:
        return "; ".join(map(str, bad.errors))
    return ""


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(VALUE, VALUE, VALUE, VALUE), min_size=1, max_size=5))
def test_json_lines_are_judged_as_the_server_judges_records(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, ...]]
) -> None:
    names = [field.name for field in FIELDS]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    found, checker = read(path), Checker(FIELDS)
    good = []
    for place, record in enumerate(records):
        assert found.reasons.get(place, "") == verdict(checker, record)
        if place not in found.reasons:
            good.append(record)
    assert found.rows.count == len(good)
    expected = checker.rows(good)
    for name in names:
        assert list(found.rows[name]) == list(expected[name])


def test_decimals_are_numbers(tmp_path: Path) -> None:
    """Databases write all their numbers so."""
    frame = pl.DataFrame({"text": ["a", "b"], "size": ["1.50", None], "count": ["7", "101"]})
    frame = frame.cast({"size": pl.Decimal(10, 2), "count": pl.Decimal(38, 0)})
    found = RowReader(FIELDS, tmp_path, is_text=False)(frame)
    assert found.reasons == {
        1: "field 'count': expected at most 100, found 101; "
        "field 'size': expected a float, found None"
    }
    assert (list(found.rows["size"]), list(found.rows["count"])) == ([1.5], [7])


def test_cells_of_other_text_files_have_no_types(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,count,size,new\n42,7,1,true\n")
    found = read(path)
    assert found.reasons == {}
    assert found.rows["text"] == ["42"]
    frame = pl.DataFrame({"text": ["42", None], "size": [1.0, 2.0]})
    assert set(RowReader(FIELDS, tmp_path, is_text=False)(frame).reasons) == {1}
