"""Units that are computed by tiles: any orders keep every bit of the whole run."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.drawing import drawn_change, drawn_orders, drawn_rectangle
from torch import nn
from torch.nn import functional

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.graph.capture import capture
from gristmill.incremental.graph.operator import cut
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.kernels import winograd
from gristmill.incremental.regions.rectangle import Rectangle

pytestmark = pytest.mark.skipif(not winograd.available(), reason="no tiles here")
HEIGHT, WIDTH = 45, 38


class Block(nn.Module):
    """What tiles have to get along with: a stride beside them, a sum and a pooling behind them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.first = nn.Conv2d(32, 16, 3, padding=1)
        self.pooled = nn.Conv2d(16, 32, 3, padding=1)
        self.halve = nn.Conv2d(32, 16, 3, 2, 1)
        self.second = nn.Conv2d(16, 32, 3, padding=1)
        self.side = nn.Conv2d(32, 32, 1, 2)
        self.point = nn.Conv2d(32, 16, 1)
        self.last = nn.Conv2d(16, 48, 3)

    def forward(self, x):
        x = functional.max_pool2d(self.pooled(self.first(self.stem(x).relu()).relu()).relu(), 2)
        x = (self.second(self.halve(x).relu()) + self.side(x)).relu()
        return self.last(self.point(x).relu())


@pytest.fixture(scope="module")
def graph():
    with pytest.MonkeyPatch.context() as patch:
        module = "gristmill.incremental.graph.operators.convolution"
        patch.setattr(f"{module}.TILED_CHANNELS", 4)
        patch.setattr(f"{module}.pays", lambda *_: True)
        patch.setattr(f"{module}._MOST_SPARE", 10.0)
        torch.manual_seed(0)
        return capture(Block().eval(), torch.rand(1, 3, HEIGHT, WIDTH), any_size=False)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn_frame(random):
    generator = torch.Generator().manual_seed(random.randrange(2**32))
    return torch.randn((1, 3, HEIGHT, WIDTH), generator=generator)


def test_what_tiles_read_is_kept_or_computed_anew(graph):
    units = [unit for unit in partition(graph) if unit.tiled]
    titles = [tuple(title.split("+")[0] for title in unit.titles) for unit in units]
    assert titles == [
        ("conv 3x3 3->32", "conv 3x3 32->16"),  # cheap to compute once more
        ("conv 3x3 16->32", "maxpooling"),
        ("conv 3x3 16->32", "conv 1x1 32->32", "add"),  # no pixel of what is added is needed twice
        ("conv 3x3 16->48",),
    ]


def test_tiles_lie_beside_those_that_they_are_made_of(graph):
    convolutions = [node.operator for node in graph.nodes if isinstance(node.operator, Convolution)]
    first, pooled = [each for each in convolutions if each.tiled is not None][:2]
    assert (first.lead, pooled.lead) == (0, 2)
    shapes = [(16, HEIGHT, WIDTH)]
    changed = first.reached(Rectangle(18, 20, 19, 21), 0, [(32, HEIGHT, WIDTH)])
    assert changed == Rectangle(16, 16, 20, 24)
    assert pooled.reached(changed, 0, shapes) == Rectangle(14, 14, 22, 26)


@pytest.mark.usefixtures("threads")
@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_orders_that_cover_the_change_keep_every_bit(graph, seed):
    random = Random(seed)
    step = Step(graph, partition(graph))
    state = step.state()
    step.whole(state, drawn_frame(random))
    for _ in range(4):
        changed = drawn_change(random, HEIGHT, WIDTH, least=1, longest=5)
        orders, _ = drawn_orders(random, step.units, changed)
        step.update(state, drawn_frame(random), changed, orders)
        expected = graph.run(state.reference)
        for unit in step.units:
            assert torch.equal(state.values[unit.root], expected[unit.root]), unit.name


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_what_is_computed_has_the_bits_of_what_is_kept(graph, seed):
    random = Random(seed)
    step = Step(graph, partition(graph))
    state = step.state()
    step.whole(state, drawn_frame(random))
    for unit in step.units:
        if unit.tiled:
            rectangles = [drawn_rectangle(random, unit.height, unit.width, 5) for _ in range(3)]
            (part,) = unit.computed(rectangles, state.values)
            assert part.rectangles == rectangles
            top, left = part.origin
            for rectangle in rectangles:
                patch = cut(part.values, rectangle.shifted(-top, -left))
                assert torch.equal(patch, cut(state.values[unit.root], rectangle)), unit.name


def test_tiles_that_several_rectangles_touch_count_once(graph):
    unit = next(unit for unit in partition(graph) if unit.tiled and len(unit.nodes) == 1)
    corner, inside = Rectangle(0, 0, 4, 5), Rectangle(1, 1, 4, 8)
    assert unit.tiles((corner,)) == unit.tiles((corner, inside)) == 2
    assert unit.tiles(()) == 0
    assert unit.tiles((Rectangle.whole(unit.height, unit.width),)) == -(-unit.height // 4) * -(
        -unit.width // 4
    )
