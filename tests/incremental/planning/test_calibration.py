"""The cost table, measured with a clock that the test moves."""

from random import Random

import pytest

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.planning.calibration import calibrate
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.regions.interval import Window


class Clock:
    """Every look at it takes a millisecond."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


@pytest.fixture
def step(operators):
    graph = Graph(
        (
            Node("c", operators["convolution"](Random(0), 1, 1, Window(3, 1, 1)), (FRAME,)),
            Node("total", operators["total"](), (0,)),
        ),
        (1, 40, 90),
        (1,),
    )
    return Step(graph, partition(graph))


def test_all_is_measured_where_there_is_time(step, frame_of):
    table = calibrate(step, frame_of(Random(0), (1, 40, 90)), Stopwatch(100.0, clock=Clock()))
    assert table.measured == 1.0
    assert table.dense == pytest.approx((0.001, 0.001))
    grid = table.rectangles[0]
    assert (grid.heights, grid.widths) == ((4, 16, 40), (4, 16, 90))
    assert grid(4, 90) == pytest.approx(0.001)
    assert table.rectangles[1] is None


def test_without_time_rectangles_are_estimated_by_their_flops(step, frame_of):
    table = calibrate(step, frame_of(Random(0), (1, 40, 90)), Stopwatch(0.0, clock=Clock()))
    assert table.measured == 0.0
    assert table.whole == pytest.approx(0.001)
    grid = table.rectangles[0]
    assert grid(40, 90) == pytest.approx(2e-5 + 0.001)
    assert grid(4, 90) == pytest.approx(2e-5 + 0.001 / 10)


def test_whole_frames_are_measured_as_streams_run_them(step, frame_of, monkeypatch):
    frames, whole = [], step.whole

    def watched(state, frame):
        frames.append(frame is state.reference)
        whole(state, frame)

    monkeypatch.setattr(step, "whole", watched)
    calibrate(step, frame_of(Random(0), (1, 40, 90)), Stopwatch(0.1, clock=Clock()))
    assert len(frames) > 1
    assert frames == [False] + [True] * (len(frames) - 1)  # only the first one is copied


def test_small_rectangles_come_first(step, frame_of):
    # Dense calls and the whole take 9 looks each way; then the time suffices for some sizes only.
    table = calibrate(step, frame_of(Random(0), (1, 40, 90)), Stopwatch(0.06, clock=Clock()))
    assert 0.0 < table.measured < 1.0
    grid = table.rectangles[0]
    assert grid(4, 4) == pytest.approx(0.001)
    assert grid(40, 90) == pytest.approx(0.002)


def test_a_stopwatch_takes_the_median_without_the_first_call():
    now = [0.0]
    durations = iter([9.0, 1.0, 5.0, 2.0])

    def call():
        now[0] += next(durations)

    assert Stopwatch(100.0, clock=lambda: now[0]).measure(call) == 1.0  # long: once is enough
    now[0] = 0.0
    durations = iter([0.9, 0.01, 0.05, 0.02])
    assert Stopwatch(100.0, clock=lambda: now[0]).measure(call) == pytest.approx(0.02)
