from __future__ import annotations

import pytest

from gristmill.train.records.record_file import RecordFile, Slot


@pytest.fixture
def file(tmp_path):
    return RecordFile(tmp_path / "record", 4096, direct=False)


def write(file, version):
    number = file.begin()
    file.end(number, Slot(number, version, ""))
    return number


def test_what_is_not_committed_is_written_over(file):
    assert [write(file, version) for version in range(3)] == [0, 0, 0]
    assert file.latest == Slot(0, 2, "")


def test_the_last_two_commits_and_a_working_slot_take_turns(file):
    used = []
    for version in range(6):
        used.append(write(file, version))
        file.keep(used[-1])
        if version >= 2:
            file.let_go(used[-3])
    assert used == [0, 1, 2, 0, 1, 2]


def test_a_slot_that_two_commits_share_is_kept_by_either(file):
    write(file, 0)
    file.keep(0)
    file.keep(0)
    file.let_go(0)
    assert write(file, 1) == 1
    file.let_go(0)
    assert write(file, 2) == 0


def test_two_writes_at_once_go_to_two_slots(file):
    assert (file.begin(), file.begin()) == (0, 1)


def test_a_failed_write_is_no_version(file):
    write(file, 0)
    file.keep(0)
    file.end(file.begin(), None)
    assert file.latest == Slot(0, 0, "")
    file.let_go(0)
    file.end(file.begin(), None)  # over the latest one
    assert file.latest is None
