from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.data import json_reader, json_source
from gristmill.data.json_source import JsonSource
from gristmill.data.read_log import ReadLog

VALUE = st.one_of(
    st.sampled_from([None, True, False, 1, 2.5, "x", "2024-01-02", [1], {"x": 1}]),
    st.integers(-(10**25), 10**25),
    st.text(max_size=4),
)
LINE = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b", "", "é"]), VALUE, max_size=4).map(json.dumps),
    st.sampled_from(["", "  ", '{"a":1', '{"a":1} {"a":2}', "[1]", ' {"a":3}', '{"a":1,"a":2}', "x",
                     '{"a":1}\r']),
)  # fmt: skip


def read(path, size):
    log = ReadLog()
    source = JsonSource(path, size)
    kinds = dict.fromkeys(source.columns, "string")
    rows = [row for frame in source.frames(kinds, log) for row in frame.rows(named=True)]
    return source, rows, log


@settings(deadline=None, max_examples=200)
@given(st.lists(LINE, min_size=1, max_size=10), st.integers(8, 80))
def test_lines_all_at_once_read_as_line_by_line(tmp_path_factory, lines, size):
    path = tmp_path_factory.mktemp("json") / "t.jsonl"
    lines = ['{"a": 0}', *lines]
    path.write_text("\n".join(lines) + "\n")
    _, rows, log = read(path, size)
    with pytest.MonkeyPatch.context() as patch:
        for module in (json_source, json_reader):
            patch.setattr(module, "objects", lambda block, columns: None)
        _, slow_rows, slow_log = read(path, size)
    assert rows == slow_rows
    assert log.unreadable.rows() == slow_log.unreadable.rows()
    assert log.notes == slow_log.notes
    kept = sum(isinstance(_value(line), dict) for line in lines)
    assert len(rows) <= kept <= len(rows) + log.unreadable_count


def _value(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def test_a_bad_line_among_many_is_the_only_one_set_aside(tmp_path):
    path = tmp_path / "t.jsonl"
    lines = [json.dumps({"n": i, "t": "x" * 20}) for i in range(5_000)]
    lines[3_210] = '{"n": 1} {"n": 2}'
    lines[77] = '{"n": [1], "t": "y"}'
    path.write_text("\n".join(lines))
    source, rows, log = read(path, 1 << 23)
    assert source.kinds() == {"n": "int", "t": "string"}
    assert [row["n"] for row in rows] == [str(i) for i in range(5_000) if i not in (77, 3_210)]
    assert log.unreadable["line"].to_list() == [78, 3_211]
    assert log.unreadable["reason"][0] == (
        "column 'n': expected a value as on most lines, found a list"
    )
