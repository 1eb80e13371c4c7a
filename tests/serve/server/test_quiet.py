"""How long a stream is quiet, by a clock that the test moves."""

import pytest

from gristmill.serve.protocol import Limits
from gristmill.serve.server.quiet import Quiet


class Loop:
    """A loop that runs what is due when the test says how late it is."""

    def __init__(self):
        self.now, self.due = 0.0, []

    def time(self):
        return self.now

    def call_later(self, seconds, call):
        self.due.append((self.now + seconds, call))
        return self

    def cancel(self):
        self.due.clear()

    def run_until(self, end):
        while self.due and self.due[0][0] <= end:
            self.now, call = self.due.pop(0)
            call()
        self.now = end


@pytest.fixture
def loop(monkeypatch):
    made = Loop()
    monkeypatch.setattr("gristmill.serve.server.quiet.asyncio.get_running_loop", lambda: made)
    return made


def quiet(told):
    return Quiet(Limits(body_timeout=10.0, stream_timeout=60.0), told.append)


def test_the_first_message_has_to_come_as_soon_as_a_body(loop):
    told = []
    quiet(told)
    loop.run_until(9.9)
    assert told == []
    loop.run_until(100.0)
    (refusal,) = told
    assert (refusal.status, refusal.code) == (408, "idle_stream")
    assert refusal.message == "no message arrived on the stream within 10 s (body_timeout)"


def test_time_counts_from_the_last_answer(loop):
    told = []
    stream = quiet(told)
    for began in (5.0, 60.0, 115.0):
        loop.run_until(began)
        stream.came()
        loop.run_until(began + 1.0)
        stream.answered()
    loop.run_until(175.9)
    assert told == []
    loop.run_until(176.0)
    assert told[0].message == "no message arrived on the stream within 60 s (stream_timeout)"


def test_no_time_counts_while_something_is_answered(loop):
    told = []
    stream = quiet(told)
    stream.came()
    stream.came()
    stream.answered()
    loop.run_until(1000.0)
    assert told == []
    stream.answered()
    loop.run_until(1059.9)
    assert told == []
    loop.run_until(1060.0)
    assert len(told) == 1


def test_one_that_has_ended_is_not_looked_at(loop):
    told = []
    quiet(told).close()
    loop.run_until(1000.0)
    assert told == []
