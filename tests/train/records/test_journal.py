from __future__ import annotations

import errno
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError
from gristmill.train.records.journal import Journal

LINES = [b'{"a":1}', b"", b'{"b":"two words"}', b"x" * 300]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def write(path, *bodies):
    journal = Journal(path)
    for body in bodies:
        journal.append(body)
    journal.close()


def test_lines_come_back(path):
    write(path, *LINES[:2])
    journal = Journal(path)
    journal.append(*LINES[2:])
    assert journal.nbytes == path.stat().st_size
    journal.close()
    again = Journal(path)
    assert (again.lines, again.damaged, again.torn) == (LINES, [], 0)
    again.close()


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_torn_last_line_is_dropped_wherever_it_broke(path, data):
    path.unlink(missing_ok=True)
    write(path, *LINES)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    journal = Journal(path)
    count = whole[:cut].count(b"\n")
    assert journal.lines == LINES[:count]
    assert journal.damaged == []
    journal.append(b"next")
    journal.close()
    again = Journal(path)
    assert again.lines == [*LINES[:count], b"next"]
    again.close()


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_damaged_byte_costs_the_line_it_is_in_and_no_other(path, data):
    path.unlink(missing_ok=True)
    write(path, *LINES)
    whole = bytearray(path.read_bytes())
    last = whole.rindex(b"\n", 0, len(whole) - 1)
    place = data.draw(st.integers(0, last).filter(lambda place: whole[place] != ord("\n")))
    number = whole[:place].count(b"\n")
    whole[place] ^= 1 + (whole[place] == ord("\n") ^ 1)
    path.write_bytes(whole)
    journal = Journal(path)
    assert journal.damaged == [number + 1]
    assert journal.lines == [line for place, line in enumerate(LINES) if place != number]
    journal.close()


def test_it_can_be_rewritten(path):
    journal = Journal(path)
    journal.append(b"old")
    journal.rewrite([b"new", b"newer"])
    journal.append(b"newest")
    journal.close()
    again = Journal(path)
    assert again.lines == [b"new", b"newer", b"newest"]
    again.close()


def test_a_full_disk_leaves_the_lines_before(path, monkeypatch):
    journal = Journal(path)
    journal.append(b"first")
    real = os.write

    def full(fd, data):
        if len(data) > 10:
            return real(fd, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(
            TrainError,
            match=r"journal: cannot be written: No space left on device\n  fix: make room",
        ):
            journal.append(b"second")
    journal.append(b"third")
    journal.close()
    again = Journal(path)
    assert again.lines == [b"first", b"third"]
    again.close()
