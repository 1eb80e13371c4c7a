from __future__ import annotations

import msgspec
import pytest

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records import commit_log
from gristmill.train.records.commit import Commit, StoredRecord
from gristmill.train.records.commit_log import CommitLog
from gristmill.train.records.journal import Journal
from gristmill.train.records.layout import RecordLayout

LAYOUT = RecordLayout.of([TensorSpec("w", (3,), "float32")])


def commit(trial, step, layout=""):
    record = StoredRecord(0, "weights", step, 4096, step % 3, "d" * 32, layout)
    return Commit(trial, step, {"loss": 0.1}, (record,))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def reopened(path):
    """Call it with a log to get what a new process would find."""
    logs = []

    def reopen(log):
        log.close()
        logs.append(CommitLog(path))
        return logs[-1]

    yield reopen
    for log in logs[-1:]:
        log.close()


def test_the_last_two_commits_of_each_trial_are_kept(path, reopened):
    log = CommitLog(path)
    for step in range(4):
        log.add(commit(0, step), {})
    log.add(commit(7, 1, "L"), {"L": LAYOUT})
    again = reopened(log)
    assert again.trials == (0, 7)
    assert again.commits(0) == (commit(0, 2), commit(0, 3))
    assert again.commits(7) == (commit(7, 1, "L"),)
    assert again.commits(3) == ()
    assert again.layout("L") == LAYOUT
    assert again.layout("M") is None
    assert again.notes == []


def test_a_layout_is_written_once(path, reopened):
    log = CommitLog(path)
    for step in range(5):
        log.add(commit(0, step, "L"), {"L": LAYOUT})
    reopened(log)
    assert path.read_bytes().count(b'"type":"layout"') == 1


def test_withdrawn_and_forgotten_commits_are_gone(path, reopened):
    log = CommitLog(path)
    for step in range(2):
        log.add(commit(0, step), {})
        log.add(commit(1, step), {})
    log.withdraw(commit(0, 1))
    log.forget(1)
    again = reopened(log)
    assert again.commits(0) == (commit(0, 0),)
    assert again.trials == (0,)


def test_of_a_step_that_was_committed_twice_only_the_later_is_withdrawn(path, reopened):
    log = CommitLog(path)
    first, second = commit(0, 1), commit(0, 1, "L")
    log.add(first, {})
    log.add(second, {"L": LAYOUT})
    log.withdraw(second)
    assert reopened(log).commits(0) == (first,)


def test_a_long_journal_is_rewritten_with_what_is_needed(path, reopened, monkeypatch):
    monkeypatch.setattr(commit_log, "_SMALLEST_REWRITE", 4000)
    log = CommitLog(path)
    for step in range(200):
        log.add(commit(0, step, "L"), {"L": LAYOUT})
        log.add(commit(1, step), {})
    assert path.stat().st_size < 8000
    again = reopened(log)
    assert again.commits(0) == (commit(0, 198, "L"), commit(0, 199, "L"))
    assert again.commits(1) == (commit(1, 198), commit(1, 199))
    assert again.layout("L") == LAYOUT


def test_a_damaged_line_is_named_and_the_commit_before_stands(path, reopened):
    log = CommitLog(path)
    for step in range(3):
        log.add(commit(0, step), {})
    log.add(commit(1, 0), {})
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"loss"', b'"lost"')  # the heading, then steps 0, 1, 2
    path.write_bytes(b"".join(lines))
    again = reopened(log)
    assert again.notes == [f"{path}: damaged lines were left out: 4"]
    assert again.commits(0) == (commit(0, 0), commit(0, 1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"type": "records", "format": 9}, "records of format 9, expected 1\n  fix: resume with"),
        ({"type": "poem"}, "a line cannot be understood: Invalid value 'poem'"),
    ],
)
def test_a_journal_of_another_make_is_refused(path, line, message):
    journal = Journal(path)
    journal.append(msgspec.json.encode(line))
    journal.close()
    with pytest.raises(TrainError) as caught:
        CommitLog(path)
    assert str(caught.value).startswith(f"{path}: {message}")
