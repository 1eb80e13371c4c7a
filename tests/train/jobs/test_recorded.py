from __future__ import annotations

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.jobs.recorded import Recorded
from gristmill.train.tasks.task import ALL, Task
from gristmill.train.tasks.timeline import Timeline


def test_nothing_to_show_before_a_run(tmp_path):
    for show in (Recorded().trace, Recorded().gantt):
        with pytest.raises(TrainError, match="nothing ran yet"):
            show(tmp_path / "file")


def test_a_trace_and_a_picture(tmp_path):
    recorded = Recorded()
    recorded.timeline = Timeline(1)
    recorded.timeline.add(Task(0, 0, "step", ALL, ALL), 0, 1.0, 2.0)
    recorded.trace(tmp_path / "trace.json")
    recorded.gantt(tmp_path / "gantt.html")
    assert "traceEvents" in (tmp_path / "trace.json").read_text()
    assert "<svg" in (tmp_path / "gantt.html").read_text()
