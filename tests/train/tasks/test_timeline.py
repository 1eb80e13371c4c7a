"""What is told of a run: sums, traces, drawings."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from gristmill.train.tasks.gantt import colour, to_html, to_svg
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.task import Task
from gristmill.train.tasks.timeline import Timeline
from gristmill.train.tasks.trace import LETTERS, label, to_trace, write_trace
from gristmill.train.tasks.trial_graph import TrialGraph


@pytest.fixture
def timeline(equal):
    shape = equal(2, 2, "micro", update=0.5, clipped=True)
    return simulate([TrialGraph(trial, shape, 0, 2) for trial in range(2)], 2)


def test_sums_of_intervals():
    timeline = Timeline(2)
    assert (timeline.makespan, timeline.utilisation) == (0.0, 0.0)
    timeline.add(Task(0, 0, "step", -1, -1), 1, 2.0, 5.0)
    timeline.add(Task(0, 1, "step", -1, -1), 0, 1.0, 2.0)
    assert (timeline.start, timeline.end, timeline.makespan) == (1.0, 5.0, 4.0)
    assert timeline.busy == (1.0, 3.0)
    assert timeline.utilisation == 0.5
    assert [[each.task.step for each in row] for row in timeline.by_device()] == [[1], [0]]


def test_a_trace_has_a_row_for_each_device_and_a_box_for_each_task(timeline, tmp_path):
    write_trace(timeline, tmp_path / "run.json", {0: "lr=0.1"})
    assert (tmp_path / "run.json").read_bytes() == to_trace(timeline, {0: "lr=0.1"})
    events = json.loads((tmp_path / "run.json").read_bytes())["traceEvents"]
    assert [each["args"]["name"] for each in events[:2]] == ["device 0", "device 1"]
    boxes = events[2:]
    assert len(boxes) == len(timeline)
    assert {each["args"]["name"] for each in boxes} == {"lr=0.1", "trial 1"}
    assert boxes[0] == {
        "name": "F0.0", "cat": "forward,trial 0", "ph": "X", "pid": 0, "tid": 0, "ts": 0.0,
        "dur": 1e6, "args": {"trial": 0, "step": 0, "kind": "forward", "stage": 0, "micro": 0,
                             "replica": 0, "steps": 1, "name": "lr=0.1"},
    }  # fmt: skip


def test_labels_are_short():
    assert label(Task(0, 0, "forward", 2, 5)) == "F2.5"
    assert label(Task(0, 0, "step", -1, -1)) == "S"
    assert len(set(LETTERS.values())) == len(LETTERS)


def test_tasks_read_well():
    assert str(Task(3, 4, "step", -1, -1, 0, 5)) == "step of trial 3, steps 4 to 8".replace(
        " to ", "-"
    )
    assert str(Task(1, 0, "backward", 2, 7, 1)) == "backward 2.7 of trial 1, step 0, replica 1"


def test_a_drawing_is_whole_and_alone(timeline):
    svg = to_svg(timeline, {0: "<b>", 1: "x"}, title="a & b")
    root = ET.fromstring(svg)
    titles = [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(timeline)
    assert any(each.startswith("<b>: forward 0.0 of trial 0, step 0") for each in titles)
    assert "prefers-color-scheme:dark" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in to_html(timeline)
    assert svg in to_html(timeline, {0: "<b>", 1: "x"}, title="a & b")


def test_thin_boxes_of_a_kind_are_drawn_as_one():
    timeline = Timeline(1)
    for step in range(5000):
        timeline.add(Task(0, step, "step", -1, -1), 0, float(step), step + 1.0)
    assert to_svg(timeline).count("<title>") < 10


def test_of_many_devices_the_first_are_drawn():
    svg = to_svg(Timeline(80))
    assert "device 63<" in svg
    assert "device 64<" not in svg
    assert "16 more devices" in svg


def test_neighbouring_trials_and_kinds_have_colours_of_their_own():
    found = {colour(trial, kind) for trial in range(8) for kind in ("forward", "backward", "step")}
    assert len(found) == 24
