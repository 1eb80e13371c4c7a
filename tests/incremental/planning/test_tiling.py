"""Units computed in full by strips: the same bits, and only where that is quicker."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.planning import tiling
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.planning.tiling import tiled
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 9), halo=st.sampled_from([0.0, 1.2, 100.0]))
@settings(max_examples=30, deadline=None)
def test_strips_give_the_values_of_the_whole_map(graph_of, frame_of, seed, rows, halo):
    random = Random(seed)
    graph = graph_of(seed)
    step = Step(graph, partition(graph, halo=halo))
    for number, unit in enumerate(step.units):
        if unit.regional and random.random() < 0.7:
            step.tiles[number] = tuple(
                Rectangle(top, 0, min(top + rows, unit.height), unit.width)
                for top in range(0, unit.height, rows)
            )
    state = step.state()
    for _ in range(2):  # into new memory, and into that of the frame before
        frame = frame_of(random, graph.input_shape)
        step.whole(state, frame)
        expected = graph.run(frame)
        assert all(torch.equal(state.values[u.root], expected[u.root]) for u in step.units)


class Work:
    """A clock by which calls take the seconds that each number of strips is said to."""

    def __init__(self, step, seconds):
        self.now = 0.0
        self._step, self._seconds, self._run = step, seconds, step.run_unit

    def __call__(self):
        return self.now

    def run_unit(self, state, number):
        self.now += self._seconds[len(self._step.tiles[number])]
        self._run(state, number)


@pytest.fixture
def step(operators):
    node = Node("c", operators["convolution"](Random(0), 1, 1, Window(3, 1, 1)), (FRAME,))
    graph = Graph((node,), (1, 64, 16), (0,))
    return Step(graph, partition(graph))


@pytest.mark.parametrize(
    ("seconds", "strips", "best"),
    [
        ({8: 0.02, 2: 0.03, 0: 0.04}, 8, 0.02),
        ({8: 0.03, 2: 0.02, 0: 0.05}, 2, 0.02),
        ({8: 0.05, 2: 0.041, 0: 0.04}, 0, 0.04),
        ({8: 0.039, 2: 0.041, 0: 0.04}, 0, 0.04),  # hardly less
        ({8: 0.03, 2: 0.041, 0: 0.025}, 0, 0.025),  # what was measured before was too long
    ],
)
def test_what_is_quickest_is_kept(step, frame_of, monkeypatch, seconds, strips, best):
    monkeypatch.setattr(tiling, "_STRIPS", (512, 2048))
    state = step.state()
    step.whole(state, frame_of(Random(0), (1, 64, 16)))
    clock = Work(step, seconds)
    monkeypatch.setattr(step, "run_unit", clock.run_unit)
    with torch.inference_mode():
        found = tiled(step, 0, state, Stopwatch(100.0, clock=clock), 0.04)
    assert found == pytest.approx(best)
    assert len(step.tiles[0]) == strips
    assert sum(tile.area for tile in step.tiles[0]) == (64 * 16 if strips else 0)


def test_nothing_is_tried_without_time(step, frame_of, monkeypatch):
    monkeypatch.setattr(tiling, "_STRIPS", (512,))
    state = step.state()
    step.whole(state, frame_of(Random(0), (1, 64, 16)))
    assert tiled(step, 0, state, Stopwatch(0.0), 0.04) == 0.04
    assert step.tiles[0] == ()
