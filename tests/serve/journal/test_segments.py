import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import StoreError
from gristmill.serve.journal.segments import SegmentedLog, records_of, segment_files

HOLDS = """
import sys
from pathlib import Path
from gristmill.serve.journal.segments import SegmentedLog
log = SegmentedLog(Path(sys.argv[1]))
list(log.read())
log.begin(b"head")
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    log.append(b"record %d" % number)
print("written", flush=True)
sys.stdin.read()
"""


def payloads(log):
    return [payload for _, payload in log.read()]


def reopened(folder, **options):
    with SegmentedLog(folder, **options) as log:
        return payloads(log)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(0, 60))
def test_what_was_appended_is_read_up_to_a_tear(tmp_path_factory, records, cut):
    folder = tmp_path_factory.mktemp("log")
    with SegmentedLog(folder) as log:
        list(log.read())
        log.begin(b"head")
        for record in records:
            log.append(record)
    path = segment_files(folder)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: max(len(whole) - cut, 16)])
    left, sizes = [], 16
    for record in [b"head", *records]:
        sizes += 8 + len(record)
        if sizes <= len(whole) - cut:
            left.append(record)
    with SegmentedLog(folder) as log:
        assert payloads(log) == left
        log.append(b"more")
    assert reopened(folder) == [*left, b"more"]


def test_a_changed_byte_ends_its_segment_alone(tmp_path):
    with SegmentedLog(tmp_path) as log:
        list(log.read())
        for head in (b"one", b"two"):
            log.begin(head)
            log.append(b"a" * 10)
            log.append(b"b" * 10)
    path = segment_files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[-25] ^= 1
    path.write_bytes(data)
    with SegmentedLog(tmp_path) as log:
        assert payloads(log) == [b"one", b"two", b"a" * 10, b"b" * 10]
        assert (log.damaged, log.torn) == (1, 0)


def test_the_oldest_segments_go_beyond_the_size(tmp_path):
    with SegmentedLog(tmp_path, segment_bytes=100, max_bytes=400) as log:
        list(log.read())
        for number in range(20):
            log.begin(b"head %02d" % number)
            while not log.full:
                log.append(b"x" * 10)
    kept = [next(records_of(path)) for path in segment_files(tmp_path)]
    assert kept == [b"head 17", b"head 18", b"head 19"]
    assert sum(path.stat().st_size for path in segment_files(tmp_path)) <= 400


def test_the_oldest_segments_go_beyond_the_age(tmp_path, clock):
    with SegmentedLog(tmp_path, max_age=100.0, clock=clock) as log:
        list(log.read())
        for number in range(10):
            log.begin(b"head %d" % number)
            assert not log.full
            clock.now += 30
            assert log.full
    kept = [next(records_of(path)) for path in segment_files(tmp_path)]
    assert kept == [b"head 5", b"head 6", b"head 7", b"head 8", b"head 9"]


def test_another_process_may_not_write(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path, "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        try:
            assert holder.stdout.readline() == b"ready\n"
            with pytest.raises(
                StoreError, match=rf"the feedback log is written by process {holder.pid} on "
            ):
                SegmentedLog(tmp_path)
        finally:
            holder.kill()
    assert reopened(tmp_path) == [b"head"]


def test_everything_appended_survives_a_kill(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path, "500"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        try:
            writer.stdout.readline()
            assert writer.stdout.readline() == b"written\n"
        finally:
            writer.kill()
    assert reopened(tmp_path) == [b"head", *(b"record %d" % number for number in range(500))]


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "00000001.log").write_bytes(b"not a log of ours")
    with pytest.raises(StoreError) as caught:
        SegmentedLog(tmp_path)
    assert caught.value.message == "expected a segment of a feedback log, found something else"


def test_a_segment_that_was_only_begun_is_passed_over(tmp_path):
    with SegmentedLog(tmp_path) as log:
        list(log.read())
        log.begin(b"head")
    (tmp_path / "00000002.log").write_bytes(b"grist")
    with SegmentedLog(tmp_path) as log:
        assert payloads(log) == [b"head"]
        log.begin(b"next")
    assert reopened(tmp_path) == [b"head", b"next"]


def test_a_disk_that_is_full_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    import os

    real = os.write
    with SegmentedLog(tmp_path) as log:
        list(log.read())
        log.begin(b"head")
        log.append(b"first")
        monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:5]))
        with pytest.raises(StoreError, match="could not be written: the disk is full"):
            log.append(b"second")
        monkeypatch.setattr(os, "write", real)
        log.append(b"third")
    assert reopened(tmp_path) == [b"head", b"first", b"third"]
