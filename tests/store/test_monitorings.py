"""The log of monitoring: only added to, read back as it was written."""

from __future__ import annotations

import pytest

from gristmill.core.errors import ReadOnlyError, UsageError
from gristmill.store.monitorings import Monitoring, Monitorings
from gristmill.store.project import Project

FOUND = [{"code": "drift", "severity": "error", "feature": "age", "message": "it moved"}]


def test_lines_come_back_as_they_were_written_oldest_first(project: Project) -> None:
    log = Monitorings(project)
    lines = [
        log.add("spam", "none", ["nothing"], version=1, at=1.0),
        log.add("spam", "retrain", ["drift of age"], version=1, findings=FOUND, at=2.0),
        log.add("ham", "wait", ["cooling down"], version=7, at=3.0),
        log.add("spam", "promoted", ["better"], version=2, findings=FOUND, run="r1", at=4.0),
        log.add("spam", "none", [], version=2, at=5.0),
    ]
    assert lines[1] == Monitoring("spam", 1, 2.0, "retrain", ["drift of age"], FOUND)
    mine = [each for each in lines if each.model == "spam"]
    assert log.history("spam") == mine
    assert log.history("spam", last=2) == mine[-2:]
    assert log.deeds("spam") == mine[1:3]
    assert log.history("eggs") == []


def test_an_unknown_action_is_refused(project: Project) -> None:
    with pytest.raises(UsageError, match="expected one of none, wait, retrain, promoted, kept"):
        Monitorings(project).add("spam", "bless", [])


def test_a_project_that_is_read_only_takes_none(project: Project) -> None:
    Monitorings(project).add("spam", "none", [])
    with Project(project.root, read_only=True) as same, pytest.raises(ReadOnlyError):
        Monitorings(same).add("spam", "none", [])
