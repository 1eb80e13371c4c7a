"""What a stream keeps: within a limit where that can be had, and the bits of the whole run."""

from math import prod
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.drawing import drawn_change, drawn_orders
from torch import nn
from torch.nn import functional

from gristmill.incremental.execution import transient
from gristmill.incremental.execution.partition import STATE, partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.graph.capture import capture
from gristmill.incremental.kernels import winograd

HEIGHT, WIDTH = 48, 64


def conv(inside, outside, stride=1, kernel=3):
    return nn.Sequential(nn.Conv2d(inside, outside, kernel, stride, kernel // 2), nn.ReLU())


class UNet(nn.Module):
    """Down and up again, what came on the way down laid beside what goes up (Ronneberger 2015)."""

    def __init__(self, up):
        super().__init__()
        self.first, self.down = conv(3, 8), conv(8, 16, 2)
        self.deep = nn.Sequential(conv(16, 16), conv(16, 16))
        self.back = nn.ConvTranspose2d(16, 16, 2, 2) if up == "transposed" else None
        self.mode = up
        self.last = nn.Sequential(conv(24, 8), nn.Conv2d(8, 4, 1))

    def forward(self, x):
        beside = self.first(x)
        x = self.deep(self.down(beside))
        if self.back is not None:
            x = self.back(x)
        else:
            x = functional.interpolate(x, size=beside.shape[2:], mode=self.mode)
        return self.last(torch.cat([x, beside], 1))


class Pyramid(nn.Module):
    """Deep maps enlarged and added to those before them (Lin et al. 2017)."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 16)
        self.stages = nn.ModuleList([conv(16, 16, 2), conv(16, 32, 2), conv(32, 32, 2)])
        self.sides = nn.ModuleList([nn.Conv2d(c, 32, 1) for c in (16, 32, 32)])
        self.heads = nn.ModuleList([nn.Conv2d(32, 32, 3, padding=1) for _ in range(3)])

    def forward(self, x):
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        top, found = self.sides[2](maps[2]), []
        for level in (2, 1, 0):
            if level < 2:
                top = functional.interpolate(top, scale_factor=2) + self.sides[level](maps[level])
            found.append(self.heads[level](top))
        return tuple(found)


class Beside(nn.Module):
    """A sum by tiles, to which a branch of three layers is added."""

    def __init__(self):
        super().__init__()
        self.first, self.tiles = conv(3, 32), nn.Conv2d(32, 32, 3, padding=1)
        self.branch = nn.Sequential(
            nn.Conv2d(32, 48, 1), nn.AvgPool2d(3, 1, 1), nn.Conv2d(48, 32, 1)
        )

    def forward(self, x):
        x = self.first(x)
        return functional.relu(self.tiles(x) + self.branch(x))


NETWORKS = {
    "bilinear": lambda: UNet("bilinear"),
    "nearest": lambda: UNet("nearest"),
    "transposed": lambda: UNet("transposed"),
    "3x3": lambda: nn.Sequential(conv(3, 24), *[conv(24, 24) for _ in range(6)]),
    "tiles": lambda: nn.Sequential(conv(3, 32), *[conv(32, 32) for _ in range(6)]),
    "enlarged": lambda: nn.Sequential(conv(3, 16), conv(16, 16), nn.Conv2d(16, 12, 3, padding=1),
                                      nn.PixelShuffle(2)),
    "pyramid": Pyramid,
    "beside": Beside,
}  # fmt: skip
LARGE = [name for name in NETWORKS if name != "beside"]


@pytest.fixture(scope="module")
def graphs():
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        module = "gristmill.incremental.graph.operators.convolution"
        patch.setattr(f"{module}.TILED_CHANNELS", 32)
        patch.setattr(f"{module}.pays", lambda *_: True)
        for name, network in NETWORKS.items():
            torch.manual_seed(0)
            made[name] = capture(network().eval(), torch.rand(1, 3, HEIGHT, WIDTH), any_size=False)
    return made


def share(graph, units):
    """Bytes of a stream over those of all values: its frame is kept as numbers and as a picture."""
    kept = sum(4 * prod(unit.shape) for unit in units) + 5 * prod(graph.input_shape)
    return kept / sum(4 * prod(shape) for shape in graph.shapes())


@pytest.mark.parametrize("name", LARGE)
def test_no_more_is_kept_than_a_stream_may_hold(graphs, name):
    graph = graphs[name]
    assert share(graph, partition(graph)) > STATE
    units = partition(graph, state=STATE)
    assert share(graph, units) <= STATE
    assert len(units) < len(partition(graph))


def test_where_little_is_kept_nothing_more_joins(graphs):
    graph = graphs["beside"]
    assert share(graph, partition(graph)) <= STATE
    assert _nodes(partition(graph, state=STATE)) == _nodes(partition(graph))


@given(seed=st.integers(0, 2**32), state=st.floats(0.0, 1.5))
@settings(max_examples=100, deadline=None)
def test_the_limit_holds_or_nothing_is_given_up_for_it(graph_of, seed, state):
    graph = graph_of(seed)
    units = partition(graph, state=state)
    assert share(graph, units) <= state or _nodes(units) == _nodes(partition(graph))
    assert not needless(graph, units, state)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_joins_that_might_as_well_be_kept(graphs, name):
    graph = graphs[name]
    for hundredths in range(10, 100):
        state = hundredths / 100
        assert not needless(graph, partition(graph, state=state), state)


def needless(graph, units, state):
    """Nodes that have joined for the limit, and could be kept within it."""
    shapes = graph.shapes()
    joined = {unit.root for unit in partition(graph)} - {unit.root for unit in units}
    room = (state - share(graph, units)) * sum(map(prod, shapes))
    return [number for number in joined if prod(shapes[number]) <= room]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_joins_keeps_every_bit(graphs, name):
    graph = graphs[name]
    for state in (STATE, 0.5, 0.4, 0.3):
        step = Step(graph, partition(graph, state=state))
        check(step, Random(round(100 * state)))


def check(step, random):
    state = step.state()
    step.whole(state, drawn_frame(random))
    for _ in range(4):
        transient._memory.floats(1 << 18).fill_(float("nan"))  # as other networks leave it
        changed = drawn_change(random, HEIGHT, WIDTH, least=1, longest=9)
        orders, _ = drawn_orders(random, step.units, changed)
        step.update(state, drawn_frame(random), changed, orders)
        expected = step.graph.run(state.reference)
        for unit in step.units:
            assert torch.equal(state.values[unit.root], expected[unit.root]), unit.name


@pytest.mark.skipif(not winograd.available(), reason="no tiles here")
def test_what_tiles_take_is_made_of_several_nodes_or_of_other_tiles(graphs):
    (beside,) = (unit for unit in partition(graphs["beside"]) if unit.tiled)
    assert [title.split()[0].split("+")[0] for title in beside.titles] == [
        "conv", "conv", "averagepooling", "conv", "add",
    ]  # fmt: skip
    pairs = [unit for unit in partition(graphs["tiles"], state=STATE) if len(unit.nodes) == 2]
    assert all(unit.tiled for unit in pairs)
    assert len(pairs) == 3


def drawn_frame(random):
    generator = torch.Generator().manual_seed(random.randrange(2**32))
    return torch.randn((1, 3, HEIGHT, WIDTH), generator=generator)


def _nodes(units):
    return [unit.nodes for unit in units]
