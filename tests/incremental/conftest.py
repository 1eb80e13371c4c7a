"""Tiny networks of whole numbers: float32 holds them exactly, whatever the order of additions."""

from __future__ import annotations

from random import Random

import pytest
import torch
from torch.nn import functional

from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.graph.operator import Batched, Global, Operator, cut, extent
from gristmill.incremental.kernels.native.library import SWITCH, library
from gristmill.incremental.regions.interval import Window, needed, reached
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle

MODULUS = 31


@pytest.fixture
def without_native(monkeypatch):
    """As on a machine without a C compiler."""
    monkeypatch.setenv(SWITCH, "off")
    library.cache_clear()
    yield
    library.cache_clear()


class Sliding(Batched):
    """What convolution and pooling share: one window for both axes."""

    def __init__(self, window):
        self.window = window

    def shape(self, *inputs):
        channels, height, width = inputs[0]
        return (self.channels(channels), self.window.outputs(height), self.window.outputs(width))

    def channels(self, channels):
        return channels

    def reached(self, changed, which, shapes):
        if changed.empty:
            return EMPTY
        _, height, width = self.shape(*shapes)
        top, bottom = reached(changed.top, changed.bottom, self.window, height)
        left, right = reached(changed.left, changed.right, self.window, width)
        found = Rectangle(top, left, bottom, right)
        return EMPTY if found.empty else found

    def needed(self, region, shapes):
        if region.empty:
            return [EMPTY]
        return [self.reads(region, shapes)[0].clipped(*extent(shapes[0]))]

    def reads(self, region, shapes):
        top, bottom = needed(region.top, region.bottom, self.window)
        left, right = needed(region.left, region.right, self.window)
        return [Rectangle(top, left, bottom, right)]

    def run_windows(self, *windows):
        return self.slide(windows[0])

    def run(self, *inputs):
        (whole,) = inputs
        pad = self.window.padding
        return self.slide(functional.pad(whole, (pad, pad, pad, pad), value=self.fill))

    def run_region(self, region, *inputs):
        pad = self.window.padding
        padded = functional.pad(inputs[0], (pad, pad, pad, pad), value=self.fill)
        found = self.slide(cut(padded, self.reads(region, [])[0].shifted(pad, pad)))
        assert found.shape[2:] == (region.height, region.width)
        return found


class Convolution(Sliding):
    """A convolution by small whole numbers, modulo 31."""

    def __init__(self, window, weight):
        super().__init__(window)
        self.weight = weight

    def channels(self, channels):
        return self.weight.shape[0]

    def slide(self, patch):
        w = self.window
        found = functional.conv2d(patch, self.weight, stride=w.stride, dilation=w.dilation)
        return found.remainder(MODULUS)


class Maximum(Sliding):
    """Max pooling."""

    fill = -1.0

    def slide(self, patch):
        w = self.window
        return functional.max_pool2d(patch, w.kernel, w.stride, dilation=w.dilation)


class Still(Batched):
    """An operator that leaves places where they are."""

    def shape(self, *inputs):
        return inputs[0]

    def reached(self, changed, which, shapes):
        return changed

    def needed(self, region, shapes):
        return [region] * len(shapes)

    def reads(self, region, shapes):
        return [region] * len(shapes)

    def run_windows(self, *windows):
        return self.run(*windows)

    def run_region(self, region, *inputs):
        return self.run(*[cut(whole, region) for whole in inputs])


class Add(Still):
    """The sum, modulo 31."""

    def run(self, *inputs):
        return sum(inputs).remainder(MODULUS)


class Join(Still):
    """Concatenation of channels."""

    def shape(self, *inputs):
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def run(self, *inputs):
        return torch.cat(inputs, 1)


class Square(Still):
    """The square, modulo 31; `exact` as told."""

    def __init__(self, *, exact=True):
        self.exact = exact

    def run(self, *inputs):
        return (inputs[0] * inputs[0]).remainder(MODULUS)


class Double(Operator):
    """Nearest up-sampling by two."""

    def shape(self, *inputs):
        return (inputs[0][0], inputs[0][1] * 2, inputs[0][2] * 2)

    def reached(self, changed, which, shapes):
        return Rectangle(*(2 * side for side in changed))

    def needed(self, region, shapes):
        top, left, bottom, right = region
        return [Rectangle(top // 2, left // 2, (bottom + 1) // 2, (right + 1) // 2)]

    def run(self, *inputs):
        return inputs[0].repeat_interleave(2, 2).repeat_interleave(2, 3)

    def run_region(self, region, *inputs):
        (need,) = self.needed(region, [])
        patch = self.run(cut(inputs[0], need))
        top, left = region.top - 2 * need.top, region.left - 2 * need.left
        return patch[:, :, top : top + region.height, left : left + region.width]


class Blend(Global):
    """Adds to every pixel the sum of all of them, modulo 31."""

    def shape(self, *inputs):
        return inputs[0]

    def run(self, *inputs):
        return (inputs[0] + inputs[0].sum((2, 3), keepdim=True)).remainder(MODULUS)


class Total(Global):
    """The sum of each channel, as a vector."""

    def shape(self, *inputs):
        return inputs[0][:1]

    def run(self, *inputs):
        return inputs[0].sum((2, 3)).remainder(MODULUS)


OPERATORS = {
    "maximum": Maximum,
    "add": Add,
    "join": Join,
    "square": Square,
    "double": Double,
    "blend": Blend,
    "total": Total,
}


def convolution(random, inputs, outputs, window):
    values = [
        float(random.randint(-3, 3))
        for _ in range(outputs * inputs * window.kernel * window.kernel)
    ]
    shape = (outputs, inputs, window.kernel, window.kernel)
    return Convolution(window, torch.tensor(values).reshape(shape))


def _drawn(random, shapes, frame):
    """An operator and its inputs, for a graph with these shapes so far."""
    every = [FRAME, *range(len(shapes))]
    shape_of = lambda n: frame if n == FRAME else shapes[n]  # noqa: E731
    # The latest values first: deep graphs rather than wide ones.
    source = random.choice(every[-3:])
    channels, height, width = shape_of(source)
    twins = [n for n in every if shape_of(n)[1:] == (height, width)]
    kind = random.choice(["conv"] * 4 + ["maximum", "add", "add", "join", "square", "double"])
    if random.random() < 0.04:
        return Blend(), (source,)
    if kind == "double" and height <= 12:
        return Double(), (source,)
    if kind == "square":
        return Square(exact=random.random() < 0.8), (source,)
    if kind == "add":
        same = [n for n in twins if shape_of(n) == shape_of(source)]
        return Add(), (source, random.choice(same))
    if kind == "join" and channels <= 4:
        return Join(), (source, random.choice(twins))
    room = min(height, width)
    if kind == "maximum":
        kernel = random.randint(1, min(3, room))
        window = Window(kernel, random.randint(1, 3), random.randint(0, kernel // 2))
        return Maximum(window), (source,)
    kernel = random.randint(1, min(5, room))
    dilation = random.randint(1, 2) if 2 * (kernel - 1) < room else 1
    window = Window(kernel, random.randint(1, 2), random.randint(0, kernel), dilation)
    return convolution(random, channels, random.randint(1, 3), window), (source,)


def random_graph(seed):
    random = Random(seed)
    frame = (random.randint(1, 3), random.randint(5, 24), random.randint(5, 24))
    nodes, shapes = [], []
    for number in range(random.randint(1, 12)):
        operator, inputs = _drawn(random, shapes, frame)
        nodes.append(Node(f"n{number}", operator, inputs))
        shapes.append(operator.shape(*[frame if n == FRAME else shapes[n] for n in inputs]))
    if random.random() < 0.3:
        nodes.append(Node("total", Total(), (len(nodes) - 1,)))
    outputs = {len(nodes) - 1} | {n for n in range(len(nodes)) if random.random() < 0.1}
    return Graph(tuple(nodes), frame, tuple(sorted(outputs)))


@pytest.fixture(scope="session")
def operators():
    """The kinds of tiny operators, by name, and `convolution(random, inputs, outputs, window)`."""
    return OPERATORS | {"convolution": convolution}


@pytest.fixture(scope="session")
def graph_of():
    """A function from a seed to a random graph."""
    return random_graph


@pytest.fixture(scope="session")
def frame_of():
    """A function from a random generator and a shape to a frame of whole numbers."""

    def made(random, shape):
        generator = torch.Generator().manual_seed(random.randrange(2**31))
        return torch.randint(0, MODULUS, (1, *shape), generator=generator).to(torch.float32)

    return made
