from __future__ import annotations

from types import SimpleNamespace

import pytest

from gristmill.train.jobs.device_use import DeviceUse


class Run:
    """As much of a run as there is to look at, with a clock of its own."""

    def __init__(self):
        self.devices = [SimpleNamespace(name="cpu:0"), SimpleNamespace(name="cpu:10")]
        self.scheduler = SimpleNamespace(timeline=SimpleNamespace(busy=[0.0, 0.0]))
        self.time, self.at_work = 0.0, {}

    def now(self):
        return self.time

    def working_on(self, device):
        return self.at_work.get(device)

    def work(self, seconds, *busy):
        self.time += seconds
        before = self.scheduler.timeline.busy
        self.scheduler.timeline.busy = [a + b for a, b in zip(before, busy, strict=True)]


@pytest.fixture
def run():
    return Run()


def test_shares_are_those_of_the_last_second_or_more(run):
    use = DeviceUse(run)
    run.work(0.5, 0.5, 0.0)
    assert use.text() == ""
    run.work(0.5, 0.4, 0.5)
    assert use.text() == "cpu:0 90%, cpu:10 50%"
    run.work(0.5, 0.0, 0.0)
    assert use.text() == "cpu:0 90%, cpu:10 50%"
    run.work(1.5, 0.5, 3.0)
    assert use.text() == "cpu:0 25%, cpu:10 100%"


def test_a_line_a_device_says_what_it_works_on_or_did_last(run):
    use = DeviceUse(run)
    run.at_work = {0: 3}
    assert use.lines("trial") == ["cpu:0         trial 3", "cpu:10"]
    run.work(1.0, 0.97, 0.05)
    run.at_work = {1: 4}
    assert use.lines("trial") == ["cpu:0    97%  trial 3", "cpu:10    5%  trial 4"]
