import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.data.odd_values import ODD_VALUES, odd_values, read_odd_values, without_odd_values
from gristmill.data.stream import open_stream

RIGHT = {"string": str, "int": int, "float": (int, float), "bool": bool}
VALUE = st.one_of(
    st.sampled_from([None, True, 1, 2.5, "x", [1], {"x": [10**30, "é"]}, 10**30]),
    st.text(max_size=3),
)


def is_odd(value, kind):
    if value is None:
        return False
    return not isinstance(value, RIGHT[kind]) or (isinstance(value, bool) and kind != "bool")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=6), st.sampled_from(sorted(RIGHT)))
def test_what_is_of_another_type_is_found_with_its_value(rows, kind):
    columns = {"a": [row[0] for row in rows], "b": [row[1] for row in rows], "c": [[]] * len(rows)}
    series = odd_values(columns, {"a": kind, "b": kind})
    found = read_odd_values(pl.DataFrame([series]))
    expected = {}
    for place, row in enumerate(rows):
        for name, value in zip("ab", row, strict=True):
            if is_odd(value, kind):
                expected.setdefault(place, {})[name] = value
    assert found == expected
    assert (series.dtype, len(series)) == (pl.String, len(rows))


def test_a_frame_without_the_column_has_none():
    frame = pl.DataFrame({"a": ["x"]})
    assert read_odd_values(frame) == {}
    assert without_odd_values(frame).equals(frame)
    marked = frame.with_columns(pl.Series(ODD_VALUES, ["{}"]))
    assert without_odd_values(marked).equals(frame)


@pytest.mark.parametrize("judged", [(), ("t",)])
def test_lines_are_set_aside_only_for_what_nobody_else_judges(tmp_path, judged):
    values = [42, "42", True, [10**30], {"x": "é"}, None, "a"]
    json_lines, csv = tmp_path / "a.jsonl", tmp_path / "b.csv"
    json_lines.write_text("".join(json.dumps({"t": value}) + "\n" for value in values))
    csv.write_text("t\n42\n")
    stream = open_stream([json_lines, csv], kinds={"t": "string"}, judged=judged)
    part = pl.concat(stream.parts())
    if not judged:
        assert part.columns == ["row_id", "t"]
        assert part["t"].to_list() == ["42", "42", "true", None, "a", "42"]
        assert stream.unreadable["line"].to_list() == [4, 5]
        return
    assert stream.columns == ["t"]
    assert stream.unreadable_count == 0
    texts = ["42", "42", "true", f"[{10**30}]", '{"x": "\\u00e9"}', None, "a", "42"]
    assert part["t"].to_list() == texts
    odd = {row: {"t": values[row]} for row in (0, 2, 3, 4)}
    assert read_odd_values(part) == odd


def test_a_file_of_no_rows_has_the_column_too(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": "x"}\n[1]\n')
    stream = open_stream(path, kinds={"t": "string"}, judged=["t", "not there"])
    assert [part.columns for part in stream.parts()] == [["row_id", "t", ODD_VALUES]]
