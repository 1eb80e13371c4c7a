"""Real kernels, calibrated, planned and stepped: every value is that of the whole run."""

from math import prod
from random import Random

import pytest
import torch
from tests.incremental.drawing import drawn_change

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.graph.operators.arithmetic import Arithmetic
from gristmill.incremental.graph.operators.convolution import Convolution, Padding
from gristmill.incremental.graph.operators.global_pooling import GlobalPooling
from gristmill.incremental.graph.operators.linear import Linear
from gristmill.incremental.graph.operators.pooling import MaxPooling
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.planning.calibration import calibrate
from gristmill.incremental.planning.planner import Planner
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.regions.interval import Window

SHAPE = (3, 64, 96)


@pytest.fixture(scope="module")
def graph():
    """A stem, a residual block that halves the map, a depthwise block that adds to it, a head."""
    generator = torch.Generator().manual_seed(0)

    def conv(inputs, outputs, kernel, stride=1, groups=1, after="relu"):
        weight = torch.randn((outputs, inputs // groups, kernel, kernel), generator=generator)
        bias = torch.randn(outputs, generator=generator)
        activation = Activation(after) if after else None
        layer = Layer(weight * 0.1, bias, (stride, stride), (1, 1), groups, activation)
        return Convolution(layer, Padding(*[kernel // 2] * 4))

    window = Window(2, 2)
    head = Linear(torch.randn((5, 24), generator=generator), torch.zeros(5))
    plan = [
        ("stem", conv(3, 16, 7, 2), (FRAME,)),
        ("pool", MaxPooling(window, window), (0,)),
        ("one", conv(16, 24, 3, 2), (1,)),
        ("two", conv(24, 24, 3, after=None), (2,)),
        ("down", conv(16, 24, 1, 2, after=None), (1,)),
        ("add", Arithmetic("add", torch.add, activation=Activation("relu")), (3, 4)),
        ("wide", conv(24, 48, 1), (5,)),
        ("deep", conv(48, 48, 3, groups=48), (6,)),
        ("narrow", conv(48, 24, 1, after=None), (7,)),
        ("again", Arithmetic("add", torch.add), (8, 5)),
        ("mean", GlobalPooling("mean", False), (9,)),
        ("head", head, (10,)),
    ]
    graph = Graph(tuple(Node(*each) for each in plan), SHAPE, (9, 11))
    shapes = [*graph.shapes(), SHAPE]
    for node in graph.nodes:
        if isinstance(node.operator, Convolution):
            node.operator.check(shapes[node.inputs[0]][1:])
    return graph


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_a_stream_keeps_every_value_of_the_whole_run(graph, seconds):
    generator = torch.Generator().manual_seed(1)
    frames = [torch.rand((1, *SHAPE), generator=generator) for _ in range(12)]
    random = Random(2)
    step = Step(graph, partition(graph))
    table = calibrate(step, frames[0], Stopwatch(seconds))
    planner = Planner(step.units, table, margin=-99.0)  # whatever it costs, by rectangles
    state = step.state()
    step.whole(state, frames[0])
    for frame in frames[1:]:
        changed = drawn_change(random, *SHAPE[1:], longest=9)
        plan = planner.plan(changed)
        assert not plan.whole
        step.update(state, frame, changed, plan.orders)
        expected = graph.run(state.reference)
        for unit in step.units:
            assert torch.equal(state.values[unit.root], expected[unit.root]), unit.name


def test_residual_and_depthwise_blocks_keep_their_input_and_their_middle(graph):
    units = partition(graph)
    assert [[graph.nodes[n].name for n in unit.nodes] for unit in units] == [
        ["stem", "pool"],
        ["one"],
        ["two", "down", "add"],
        ["wide"],
        ["deep", "narrow", "again"],
        ["mean"],
        ["head"],
    ]
    shapes = graph.shapes()
    kept = sum(prod(shapes[unit.root]) for unit in units)
    assert kept < 0.6 * sum(map(prod, shapes))
