from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.data import text_blocks
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import TextBlocks


def blocks(path, size=1 << 23):
    log = ReadLog()
    return list(TextBlocks(path, log, size)), log


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text('aé," ', max_size=30), max_size=40), st.integers(1, 50), st.booleans())
def test_blocks_are_whole_lines_that_make_up_the_file(tmp_path_factory, lines, size, packed):
    path = tmp_path_factory.mktemp("text") / "t.csv"
    data = "\n".join(["head", *lines]).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    before = text_blocks.HEAD_BYTES, text_blocks._AHEAD_BYTES
    text_blocks.HEAD_BYTES, text_blocks._AHEAD_BYTES = size, 7
    try:
        found, log = blocks(path, size)
    finally:
        text_blocks.HEAD_BYTES, text_blocks._AHEAD_BYTES = before
    assert b"".join(block.data for block in found) == data
    assert [block.last for block in found] == [False] * (len(found) - 1) + [True]
    assert all(block.data.endswith(b"\n") for block in found[:-1])
    line = 1
    for block in found:
        assert (block.line, block.feeds) == (line, block.data.count(b"\n"))
        line += block.feeds
    assert log.notes == []


@pytest.mark.parametrize(
    ("data", "text", "codes"),
    [
        (b"\xef\xbb\xbfa\n", "a\n", ["byte_order_mark"]),
        ("a,é\n".encode("utf-16"), "a,é\n", ["byte_order_mark", "encoding"]),
        (b"a\xe9\n", "aé\n", ["encoding"]),
        ("é".encode() + b"\xe9\n", "é\ufffd\n", ["encoding"]),
        (b"a\rb\r", "a\nb\n", ["mixed_line_ends"]),
        (b"a\r\nb\n", "a\r\nb\n", ["mixed_line_ends"]),
        (b'a\rb\n"c\rd"\n', 'a\nb\n"c\rd"\n', ["mixed_line_ends"]),
    ],
)
def test_what_is_mended(tmp_path, data, text, codes):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    found, log = blocks(path)
    assert b"".join(block.data for block in found).decode() == text
    assert [note.code for note in log.notes] == codes
