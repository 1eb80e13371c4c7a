"""Units that are chains: any orders keep every bit, with C kernels and without."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.drawing import drawn_orders
from torch import nn
from torch.nn import functional

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.execution.whole import Whole
from gristmill.incremental.graph.capture import capture
from gristmill.incremental.graph.operator import cut
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet

HEIGHT, WIDTH = 37, 30


class Bottleneck(nn.Module):
    """A MobileNet's block: wide between narrow maps, and added to what it reads if it can be."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        wide = 4 * inputs
        self.expand = nn.Conv2d(inputs, wide, 1)
        self.deep = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide)
        self.project = nn.Conv2d(wide, outputs, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        found = functional.relu6(self.deep(functional.relu6(self.expand(x))))
        found = self.project(found)
        return x + found if self.adds else found


class Network(nn.Sequential):
    """A stem that is pooled, three blocks, a sum that is bounded, and a pooling."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, 1, 1),
            nn.ReLU6(),
            nn.MaxPool2d(3, 2, 1),
            Bottleneck(8, 12, 2),
            Bottleneck(12, 12, 1),
            Residual(12),
            Bottleneck(12, 20, 1),
            nn.MaxPool2d(2),
        )


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, (1, 5), padding=(0, 2))

    def forward(self, x):
        return functional.relu(self.second(functional.relu(self.first(x))) + x)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(params=["native", "without"])
def graph(request, module):
    if request.param == "without":
        request.getfixturevalue("without_native")
    elif library() is None:
        pytest.skip("no C kernels here")
    return capture(module, torch.rand(1, 3, HEIGHT, WIDTH), any_size=False)


def drawn_frame(random):
    generator = torch.Generator().manual_seed(random.randrange(2**32))
    return torch.randn((1, 3, HEIGHT, WIDTH), generator=generator)


def drawn_change(random):
    top, left = random.randrange(HEIGHT), random.randrange(WIDTH)
    bottom = min(HEIGHT, top + random.randint(1, 9))
    right = min(WIDTH, left + random.randint(1, 9))
    return RegionSet.covering([Rectangle(top, left, bottom, right)])


def check_orders(graph, seed):
    random = Random(seed)
    step = Step(graph, partition(graph))
    state = step.state()
    step.whole(state, drawn_frame(random))
    for _ in range(3):
        changed = drawn_change(random)
        orders, reached = drawn_orders(random, step.units, changed)
        step.update(state, drawn_frame(random), changed, orders)
        expected = graph.run(state.reference)
        for unit, reach in zip(step.units, reached, strict=True):
            assert torch.equal(state.values[unit.root], expected[unit.root]), unit.name
            if unit.regional:
                for part in unit.computed(reach.rectangles, state.values):
                    for place in part.rectangles:
                        patch = cut(part.values, place.shifted(-part.origin[0], -part.origin[1]))
                        assert torch.equal(patch, cut(expected[unit.root], place))


def test_orders_that_cover_the_change_keep_every_bit(graph):
    @given(seed=st.integers(0, 2**32))
    @settings(max_examples=12, deadline=None)
    def check(seed):
        check_orders(graph, seed)

    check()


def test_answers_are_those_of_the_module(graph, module):
    frame = drawn_frame(Random(1))
    with torch.inference_mode():
        expected = module(frame)
    (found,) = Whole(graph, (3, HEIGHT, WIDTH))(frame)
    assert torch.equal(found, graph.run(frame)[graph.output])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_chain_begins_where_maps_are_narrow(module):
    if library() is None:
        pytest.skip("no C kernels here")
    units = partition(capture(module, torch.rand(1, 3, 8 * HEIGHT, 8 * WIDTH), any_size=False))
    assert [(len(unit.nodes), unit.chained) for unit in units] == [
        (2, True),
        (3, True),
        (4, True),
        (3, True),
        (4, True),
    ]
    assert all(unit.makers == ("C",) for unit in units)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(3, 1, 1, dilation=2)),
        nn.Sequential(nn.MaxPool2d(2)),  # of no convolution
    ],
)
def test_other_poolings_are_no_links(network):
    network.eval()
    frame = torch.rand(1, 3, HEIGHT, WIDTH)
    graph = capture(network, frame, any_size=False)
    assert not partition(graph)[-1].chained
    (found,) = Whole(graph, (3, HEIGHT, WIDTH))(frame)
    with torch.inference_mode():
        torch.testing.assert_close(found, network(frame), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("without_native")
def test_without_c_nothing_is_a_chain(module):
    units = partition(capture(module, torch.rand(1, 3, HEIGHT, WIDTH), any_size=False))
    assert not any(unit.chained or "C" in unit.makers for unit in units)
