from __future__ import annotations

import re
import zlib

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.hunt.controller import Resume, Start, Stop
from gristmill.train.hunt.record import Failed, Issued, Record, Reported, Wanted

EVENTS = [
    Wanted(4),
    Issued(2, [Start(0, 1), Start(1, 1)], {0: {"lr": 0.1, "kind": 2}, 1: {"lr": 1 / 3, "kind": 0}}),
    Reported(0, 1, 0.1 + 0.2, "pause", 1.5, {"loss": 0.5}),
    Failed(1, "RuntimeError: süß\nsecond line", 0.5),
    Issued(2, [Resume(0, 4, 1), Resume(0, 4, 1, source=1, copies=2), Stop(1, "behind")]),
    Reported(0, 2, 0.5, "continue"),
    Reported(0, 3, 0.5, "stop", why="behind the others"),
]


@pytest.fixture
def path(tmp_path):
    record = Record(tmp_path / "new" / "hunt.jsonl", "search")
    for event in EVENTS:
        record.add(event)
    assert record.events == EVENTS
    record.close()
    return record.path


def reopened(path, search="search"):
    record = Record(path, search)
    record.close()
    return record.events


def test_keeps_events(path):
    assert reopened(path) == EVENTS
    assert len(path.read_bytes().splitlines()) == len(EVENTS) + 1


def test_without_a_file():
    record = Record(None, "search")
    record.add(EVENTS[0])
    record.close()
    assert record.events == EVENTS[:1]


def test_cut_anywhere(path):
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == 10]
    for cut in sorted({*range(0, len(whole), 3), *ends, *(end - 1 for end in ends)}):
        path.write_bytes(whole[:cut])
        record = Record(path, "search")
        kept = max(0, sum(end <= cut for end in ends) - 1)
        assert record.events == EVENTS[:kept], cut
        record.add(EVENTS[2])
        record.close()
        assert reopened(path) == [*EVENTS[:kept], EVENTS[2]]


def test_a_last_line_of_rubbish_is_dropped(path):
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 50 + b"\n")
    assert reopened(path) == EVENTS
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", range(1, len(EVENTS) + 1))
def test_damage_is_detected(path, line):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"', b"'", 1)
    path.write_bytes(b"".join(lines))
    message = f"{path}: line {line} is damaged: its checksum does not fit"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Record(path, "search")


def test_an_event_of_another_make_is_refused(path):
    text = b'{"type":"moved","trial":1}'
    lines = path.read_bytes().splitlines(keepends=True)
    lines.insert(2, b"%08x %b\n" % (zlib.crc32(text), text))
    path.write_bytes(b"".join(lines))
    with pytest.raises(TrainError, match="line 3 cannot be read: Invalid value 'moved'"):
        Record(path, "search")


def test_another_search_is_refused(path):
    message = (
        f"{path}: the folder holds another search: model, space, data, rules or settings differ\n"
        "  fix: give each search a storage folder of its own, or delete this one"
    )
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Record(path, "other")


def test_one_process_at_a_time(path):
    holder = Record(path, "search")
    message = (
        f"{path}: another process is conducting this search\n"
        "  fix: wait until it ends, or give each search a folder of its own"
    )
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Record(path, "search")
    holder.close()
    holder.close()
    assert reopened(path) == EVENTS
