from __future__ import annotations

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.journal import Journal, TrialRecord


def trial(number: int) -> TrialRecord:
    return TrialRecord(number, "complete", {"lr": 0.1}, [0.2, 0.3], 0.3, 0.5, 2, seconds=1.5)


def test_keeps_trials(tmp_path):
    path = tmp_path / "new" / "trials.jsonl"
    journal = Journal(path, "search")
    journal.add(trial(0))
    journal.add(TrialRecord(1, "failed", {"lr": 9.0}, reason="TrainError: loss is nan"))
    assert Journal(path, "search").trials == journal.trials
    assert len(path.read_text().splitlines()) == 3


def test_without_a_file():
    journal = Journal(None, "search")
    journal.add(trial(0))
    assert journal.trials == [trial(0)]


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_half_written_last_line_is_dropped(tmp_path, cut):
    path = tmp_path / "trials.jsonl"
    journal = Journal(path, "search")
    journal.add(trial(0))
    journal.add(trial(1))
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path, "search")
    assert again.trials == [trial(0)]
    again.add(trial(1))
    assert Journal(path, "search").trials == [trial(0), trial(1)]


def test_a_half_written_heading(tmp_path):
    path = tmp_path / "trials.jsonl"
    path.write_bytes(b'{"sea')
    Journal(path, "search").add(trial(0))
    assert Journal(path, "search").trials == [trial(0)]


def test_a_second_process_changes_nothing(tmp_path):
    path = tmp_path / "trials.jsonl"
    one, other = Journal(path, "search"), Journal(path, "search")
    for journal in (one, other):
        journal.add(trial(0))
        journal.add(trial(1))
    assert Journal(path, "search").trials == [trial(0), trial(1)]


def test_another_search_and_damage_are_refused(tmp_path):
    path = tmp_path / "trials.jsonl"
    Journal(path, "search").add(trial(0))
    with pytest.raises(TrainError, match="the folder holds another search"):
        Journal(path, "other")
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], b"{]", lines[1], b""]))
    with pytest.raises(TrainError, match=r"trials.jsonl: line 2 cannot be read: "):
        Journal(path, "search")
