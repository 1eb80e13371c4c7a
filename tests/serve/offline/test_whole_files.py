"""What reading files to their end tells of them."""

from __future__ import annotations

import gzip
from pathlib import Path

from gristmill.core.fingerprint import fingerprint, fingerprint_file
from gristmill.serve.offline.whole_files import file_mark, whole_texts


def test_lines_are_counted_file_by_file(tmp_path: Path) -> None:
    whole = gzip.compress(b"a\n" * 5000)
    contents = [b"", b"a", b"a\nb\n", b"\n\nc", whole, whole[: len(whole) // 2], b"a\n" * 9000]
    files = []
    for number, content in enumerate(contents):
        files.append(tmp_path / f"{number}.csv")
        files[-1].write_bytes(content)
    found = whole_texts(files)
    assert [text.lines for text in found] == [0, 1, 2, 3, 5000, None, 9000]
    assert [text.mark for text in found] == [fingerprint_file(file) for file in files]


def test_marks_tell_contents_and_their_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1" * 100_000)
    two.write_bytes(b"2")
    assert file_mark([one]) == fingerprint_file(one)
    assert file_mark([one, two]) == fingerprint([fingerprint_file(one), fingerprint_file(two)])
    assert file_mark([two, one]) != file_mark([one, two])
