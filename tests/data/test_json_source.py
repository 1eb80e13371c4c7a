from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.data import json_reader, json_source
from gristmill.data.json_columns import plain_frame, plain_keys
from gristmill.data.json_source import JsonSource
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import TextBlock

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
        _only_line_by_line(patch)
        _, slow_rows, slow_log = read(path, size)
    assert rows == slow_rows
    assert log.unreadable.rows() == slow_log.unreadable.rows()
    assert log.notes == slow_log.notes
    kept = sum(isinstance(_value(line), dict) for line in lines)
    assert len(rows) <= kept <= len(rows) + log.unreadable_count


def _only_line_by_line(patch):
    """Decode each line by itself and judge each value: what all else must agree with."""
    for module in (json_source, json_reader):
        patch.setattr(module, "objects", lambda block, columns: None)
    patch.setattr(json_source, "plain_keys", lambda block: ())
    patch.setattr(json_reader, "plain_frame", lambda block, columns, kinds: None)


NUMBER = st.one_of(
    st.floats().map(json.dumps),  # NaN and Infinity, too, which are no JSON
    st.integers(-(2**53) - 3, 2**53 + 3).map(str),
    st.integers(-(2**64), 2**64).map(str),
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "1e400", "1e-400", "9007199254740993", "007", "1.", ".5", "+1"]),
)
STRING = st.one_of(
    st.text(max_size=6).map(json.dumps),
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text('\\"u{}[],: ad08\t\x1f\x7f\n', max_size=8).map(lambda text: f'"{text}"'),
    st.sampled_from(['"2024-01-02"', '"2024-01-02T03:04:05Z"', '"1"', '"\\ud800"',
                     '"\\ud83d\\ude00"',
                     '":x"', '" :"', '"\\":"', '"\\" :"', '"x\\\\" ', '"a":', '"é"']),
)  # fmt: skip
ODD = st.one_of(
    st.sampled_from(["null", "true", "false", "nul", "[]", "[1]", "{}", '{"b":1}', '{"a":"x"}',
                     ""]),
    NUMBER, STRING,
)  # fmt: skip
KEY = st.sampled_from(
    ['"a"', '"b"', '"ab"', '"é"', '"a long key of words"', '"\\u0061"', '"a" ', '"q\\""']
)
USUAL = {
    "int": st.integers(-(2**63), 2**63 - 1).map(str),
    "float": st.floats(-1e15, 1e15).map(json.dumps),
    "bool": st.sampled_from(["true", "false"]),
    "string": STRING,
    "time": st.datetimes().map(lambda time: json.dumps(time.isoformat())),
}


@st.composite
def files(draw):
    """Lines of the same keys, with a few that are not quite."""
    keys = draw(st.lists(KEY, min_size=1, max_size=3, unique=True))
    values = [draw(st.sampled_from(list(USUAL.values()))) for _ in keys]
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
    lines = []
    for _ in range(draw(st.integers(1, 5))):
        pairs = [(key, draw(value)) for key, value in zip(keys, values, strict=True)]
        for _ in range(draw(st.integers(0, 2)) if draw(st.integers(0, 3)) == 0 else 0):
            at = draw(st.integers(0, len(pairs)))
            pair = draw(st.tuples(KEY | st.sampled_from(keys), ODD))
            pairs[at : at + draw(st.integers(0, 1))] = [pair]
        line = "{" + comma.join(f"{key}{colon}{value}" for key, value in pairs) + "}"
        ends = ["", "", "", "", "", "\r", " ", "\n", "x", "{}"]
        lines.append(draw(st.sampled_from(["", "", "", " "])) + line + draw(st.sampled_from(ends)))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


def _frames(path, size, kinds, judged):
    log = ReadLog()
    source = JsonSource(path, size, judged=judged)
    kinds = dict.fromkeys(source.columns, "string") | source.kinds() | kinds
    return source.columns, source.kinds(), list(source.frames(kinds, log)), log


@settings(deadline=None, max_examples=300)
@given(files(), st.integers(30, 400), st.sampled_from(["int", "float", "bool", "string", "time"]),
       st.booleans())  # fmt: skip
def test_whole_columns_are_what_their_values_are_one_by_one(
    tmp_path_factory, text, size, kind, judged
):
    given_kinds = {"a": kind} if not judged or kind != "time" else {}
    path = tmp_path_factory.mktemp("json") / "t.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    _agree(path, size, given_kinds, tuple(given_kinds) if judged else ())


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('{"a":"x"}\n{"a":"\\ud800"}\n', {"a": "string"}),
        ('{"a":"1"}\n{"a":1.0}\n', {"a": "string"}),
        ('{"a":1.5}\n{"a":9007199254740993}\n', {"a": "float"}),
        ('{"a":1.5}\n{"a":-9007199254740993}\n', {"a": "float"}),
        ('{"a":"1"}\n{"a":1}\n', {"a": "string"}),
        ('{"a":"1"}\n{"a": {"a":"1"}}\n', {"a": "string"}),
        ('{"a":1,"b":2}\n{"a":1,"a":2}\n', {}),
        ('{"a":1,"b":2}\n{"a":1}\n{"b":3,"a":1,"b":2}\n', {}),
        ('{"a":1,"b":2}\n{"a":1,"c":2}\n', {}),
        ('{"a":1}\n{"a":1,"a" :2}\n', {}),
        ('{"a":1}\n{"a":1,"b" :2}\n', {}),
        ('{"a":1}\n{"a":1,"q\\\\" :2}\n', {}),
        ('{"b":1,"a":2}\n{"b":1,"q\\"a":2}\n', {}),
        ('{"q\\"a":1}\n{"q\\"a":2}\n', {}),
        ('{"":1}\n{"":2}\n', {}),
        ('{"a":1}\n\n{"a":2}\n', {}),
        ('{"a":null,"b":true}\n{"a":null,"b":null}', {"a": "time"}),
    ],
)
def test_what_polars_takes_for_something_else_is_judged_one_by_one(tmp_path, text, kinds):
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    _agree(path, 1 << 20, kinds, ())
    # As a second block, of a file whose keys seem to be known.
    first = text.partition("\n")[0] + "\n"
    path.write_text(first * 8 + text)
    _agree(path, 8 * len(first), kinds, ())


def _agree(path, size, kinds, judged):
    """Make sure that a file read in the quickest way is what it is value by value."""
    found = _frames(path, size, kinds, judged)
    with pytest.MonkeyPatch.context() as patch:
        _only_line_by_line(patch)
        expected = _frames(path, size, kinds, judged)
    assert found[:2] == expected[:2]
    assert [frame.schema for frame in found[2]] == [frame.schema for frame in expected[2]]
    assert all(map(pl.DataFrame.equals, found[2], expected[2]))
    assert _signs(found[2]) == _signs(expected[2])
    assert found[3].unreadable.rows() == expected[3].unreadable.rows()
    assert found[3].notes == expected[3].notes


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1,"b":"x"}',
        '{"a": 1, "b": "x"}',
        '{"a":null,"b":"said \\"so\\" and \\"thus\\": {}"}',
        '{"b":null,"a":-1}',
        '{"a":2}\r',
    ],
)
def test_lines_of_the_same_keys_need_no_objects(line):
    block = TextBlock(f"{line}\n".encode() * 3, 1, 3, last=True)
    frame = plain_frame(block, ("a", "b"), {"a": "int", "b": "string"})
    assert frame is not None
    value = json.loads(line)
    assert frame.rows() == [(value["a"], value.get("b"))] * 3
    assert set(plain_keys(block)) == set(value)


def _signs(frames):
    """Which numbers are below nothing, or minus nothing, which equals nothing."""
    return [
        np.signbit(column.to_numpy()).tolist()
        for frame in frames
        for column in frame
        if column.dtype.is_float()
    ]


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
