"""The beginning and the end of a log stay, and how much is missing is told exactly."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipeline.provenance.bounded_log import BoundedLog, read_bounded_log, rewrite

LINES = st.lists(st.integers(0, 30).map(lambda size: "x" * size + "\n"), max_size=60)


@given(LINES, st.integers(31, 100), st.integers(31, 100))
def test_what_stays_and_what_is_said_to_be_missing_make_the_whole(lines, head, segment) -> None:
    with tempfile.TemporaryDirectory() as name:
        log = BoundedLog(Path(name), head=head, segment=segment)
        for line in lines:
            log.write(line.encode())
        log.close()
        text, left_out = read_bounded_log(Path(name))
        held = sum(path.stat().st_size for path in Path(name).iterdir())
    whole = "".join(lines)
    assert held <= head + 2 * segment
    if not left_out:
        assert text == whole
        return
    start, told, end = re.split(r"\[\.\.\. ([\d,]+) bytes left out \.\.\.\]\n", text)
    assert whole.startswith(start)
    assert whole.endswith(end)
    assert len(start) + len(end) + left_out == len(whole)
    assert int(told.replace(",", "")) == left_out
    assert len(end) >= segment - 31  # a segment may end before a line that does not fit


def test_a_line_longer_than_a_file_is_kept_in_parts(tmp_path) -> None:
    log = BoundedLog(tmp_path, head=10, segment=10)
    log.write(b"a" * 25)
    log.close()
    assert read_bounded_log(tmp_path)[0] == "a" * 25


def test_a_text_is_changed_in_all_files_and_what_is_missing_stays_known(tmp_path) -> None:
    log = BoundedLog(tmp_path, head=20, segment=20)
    for number in range(20):
        log.write(f"secret {number:02}\n".encode())
    log.close()
    before = read_bounded_log(tmp_path)
    rewrite(tmp_path, lambda text: text.replace("secret", "s"))
    after = read_bounded_log(tmp_path)
    assert after == (before[0].replace("secret", "s"), before[1])


def test_nothing_is_an_empty_log(tmp_path) -> None:
    assert read_bounded_log(tmp_path / "none") == ("", 0)
