from __future__ import annotations

import io

import pytest

from gristmill.core import progress
from gristmill.core.progress import LineReporter, current, reporting, task, track


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_nothing_is_said_unless_a_reporter_is_installed(capsys):
    assert list(track(range(3), "reading")) == [0, 1, 2]
    current().say("hello")
    with task("work", 3) as work:
        work.advance()
        work.note("x")
    assert capsys.readouterr() == ("", "")


def test_lines_come_every_five_seconds(clock):
    out = io.StringIO()
    with reporting(LineReporter(out)), task("reading", 4000) as work:
        clock.now += 4
        work.advance(1000)
        assert out.getvalue() == ""
        work.note("b.csv")
        clock.now += 1
        work.advance(1000)
    assert out.getvalue() == "  reading: 2,000 of 4,000 rows, 400/s, 5 s left, b.csv\n"


def test_a_total_that_is_not_known(clock):
    out = io.StringIO()
    with reporting(LineReporter(out)), task("reading", unit="files") as work:
        clock.now += 10
        work.advance(5)
    assert out.getvalue() == "  reading: 5 files, 2 s each\n"


def test_more_than_the_total_has_no_negative_time_left(clock):
    out = io.StringIO()
    with reporting(LineReporter(out)), task("reading", 2) as work:
        clock.now += 10
        work.advance(5)
    assert "0 ms left" in out.getvalue()


def test_say():
    out = io.StringIO()
    LineReporter(out).say("done")
    assert out.getvalue() == "done\n"


class Recorder(LineReporter):
    def __init__(self):
        super().__init__(io.StringIO())
        self.finished = 0

    def finish(self, work):
        self.finished += 1


def test_the_reporter_is_put_back_and_work_finished_after_an_error():
    quiet, recorder = current(), Recorder()

    def fail():
        with reporting(recorder), task("work"):
            assert current() is recorder
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert current() is quiet
    assert recorder.finished == 1


def test_track_finishes_when_left_early():
    recorder = Recorder()
    with reporting(recorder):
        items = track(range(10), "reading")
        assert next(items) == 0
        items.close()
    assert recorder.finished == 1
