"""Chains in C: right, and the same bits in any rectangle, alone or in a chain."""

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native import chain as module
from gristmill.incremental.kernels.native.chain import Chain, Link
from gristmill.incremental.kernels.native.convolution import NativeConvolution, fits
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.pooling import NativePooling
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")

ACTIVATIONS = [
    None,
    Activation("relu"),
    Activation("hardtanh", (0.0, 6.0)),
    Activation("leaky_relu", (0.1,)),
    Activation("hardswish"),
    Activation("hardsigmoid"),
    Activation("sigmoid"),
    Activation("swish"),
]
BOUNDS = ACTIVATIONS[:3]


class Drawn(NamedTuple):
    """A chain, what it reads, and the links' values, one by one in double precision."""

    links: list[Link]
    values: Tensor
    expected: list[Tensor]


@st.composite
def drawn_chains(draw):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    channels = draw(st.sampled_from([1, 3, 16, 21, 40]))
    height, width = draw(st.integers(1, 23)), draw(st.integers(1, 23))
    values = channels_last(torch.randn((1, channels, height, width), generator=generator))
    links, expected, now = [], [], values.double()
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.sampled_from([True, False, False])):
            rows, columns = draw(windows()), draw(windows())
            if min(rows.outputs(now.shape[2]), columns.outputs(now.shape[3])) < 1:
                break
            now = pooled(now, rows, columns, ceil=draw(st.booleans()))
            expected.append(now)
            pooling = NativePooling(channels, rows, columns)
            links.append(Link(pooling, (rows.padding, columns.padding), now.shape[2:]))
            continue
        layer, padding = draw(layers(channels, generator))
        above, before, below, after = padding
        padded = functional.pad(now, (before, after, above, below))
        if padded.shape[2] < layer.span[0] or padded.shape[3] < layer.span[1]:
            break
        now = functional.conv2d(
            padded,
            layer.weight.double(),
            layer.bias.double(),
            layer.stride,
            0,
            layer.dilation,
            layer.groups,
        )
        if layer.activation is not None:
            now = layer.activation.apply_(now)
        expected.append(now)
        links.append(Link(NativeConvolution(layer), padding[:2], now.shape[2:]))
        channels = now.shape[1]
    return Drawn(links, values, expected)


@st.composite
def windows(draw):
    kernel = draw(st.integers(1, 4))
    return Window(kernel, draw(st.integers(1, 3)), draw(st.integers(0, kernel // 2)))


def pooled(values, rows, columns, *, ceil):
    kernel, stride, padding, _ = zip(rows, columns, strict=True)
    return functional.max_pool2d(values, kernel, stride, padding, ceil_mode=ceil)


@st.composite
def layers(draw, channels, generator):
    separate = draw(st.booleans())
    side = st.sampled_from([1, 1, 3, 3, 2, 5])
    window = draw(side), draw(side)
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    outputs = channels if separate else draw(st.sampled_from([1, 8, 16, 24, 33, 50, 80]))
    inputs = 1 if separate else channels
    scale = 1 / math.sqrt(inputs * math.prod(window))
    weight = torch.randn((outputs, inputs, *window), generator=generator) * scale
    bias = torch.randn(outputs, generator=generator)
    groups = channels if separate else 1
    activation = draw(st.sampled_from(ACTIVATIONS))
    layer = Layer(weight, bias, draw(pair), draw(pair), groups, activation)
    return layer, draw(st.tuples(*[st.integers(0, 2)] * 4))


def channels_last(values):
    return values.contiguous(memory_format=torch.channels_last)


def whole_of(chain, values, like, **others):
    height, width = like.shape[2:]
    found = channels_last(torch.full(like.shape, math.nan))
    chain.write([Rectangle.whole(height, width)], values, found, **others)
    return found


@settings(deadline=None, max_examples=60)
@given(drawn=drawn_chains().filter(lambda drawn: drawn.links), data=st.data())
def test_chains_are_right_and_every_rectangle_has_the_bits_of_the_whole(drawn, data):
    links, values, expected = drawn
    alone = values
    for link, exact in zip(links, expected, strict=True):
        alone = whole_of(Chain([link]), alone, exact)
        torch.testing.assert_close(alone.double(), exact, rtol=1e-4, atol=1e-4)
    height, width = alone.shape[2:]
    after = data.draw(st.sampled_from([None, *BOUNDS]))
    added = links[-1].convolution.adds and data.draw(st.booleans())
    base = channels_last(torch.randn(alone.shape)) if added else None
    if base is not None:
        alone = alone + base
        alone = alone if after is None else after.apply_(alone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROOM", data.draw(st.sampled_from([0, 1 << 12, 1 << 17])))
        chain = Chain(links, after)
    assert torch.equal(whole_of(chain, values, alone, added=base), alone)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    inside = alone[:, :, top:bottom, left:right]
    found = channels_last(torch.zeros(alone.shape))
    chain.write([Rectangle(top, left, bottom, right)], values, found, added=base)
    assert torch.equal(found[:, :, top:bottom, left:right], inside)
    found[:, :, top:bottom, left:right] = 0.0
    assert not found.any()  # nothing is written beside it
    patch_ = channels_last(torch.empty(inside.shape))
    place = [Rectangle(top, left, bottom, right)]
    chain.write(place, values, patch_, added=base, origin=(top, left))
    assert torch.equal(patch_, inside)


@settings(deadline=None, max_examples=15)
@given(drawn=drawn_chains().filter(lambda drawn: drawn.links))
def test_two_threads_give_the_bits_of_one(drawn):
    chain, like = Chain(drawn.links), drawn.expected[-1]
    alone = whole_of(chain, drawn.values, like)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WORTH", 0)
        torch.set_num_threads(2)
        try:
            assert torch.equal(whole_of(chain, drawn.values, like), alone)
        finally:
            torch.set_num_threads(before)


@pytest.mark.parametrize("activation", BOUNDS[1:])
def test_what_is_no_number_stays_so(activation):
    weight = torch.ones(20, 20, 1, 1)
    link = Link(NativeConvolution(Layer(weight, activation=activation)), (0, 0), (1, 3))
    values = torch.ones(1, 20, 1, 3)
    values[0, 7, 0, 1], values[0, 7, 0, 2] = math.nan, math.inf
    found = whole_of(Chain([link]), channels_last(values), values)
    expected = activation.apply_(torch.tensor([20.0, math.nan, math.inf])).expand(20, 3)
    torch.testing.assert_close(found[0, :, 0], expected, equal_nan=True)


@pytest.mark.parametrize("kind", ["sigmoid", "swish"])
def test_exponentials_are_right_for_numbers_of_any_size(kind):
    activation = Activation(kind)
    numbers = torch.cat([torch.linspace(-120.0, 120.0, 2401), torch.tensor([-math.inf, math.inf])])
    values = channels_last(numbers.view(1, 1, 1, -1))
    link = Link(NativeConvolution(Layer(torch.ones(1, 1, 1, 1), activation=activation)), (0, 0),
                (1, len(numbers)))  # fmt: skip
    found = whole_of(Chain([link]), values, values).flatten()
    expected = activation.apply_(numbers.double()).float()
    torch.testing.assert_close(found, expected, rtol=5e-7, atol=1e-35, equal_nan=True)


def test_frames_and_rows_may_lie_anywhere():
    torch.manual_seed(0)
    frames = channels_last(torch.randn(3, 18, 9, 12))
    link = Link(NativeConvolution(Layer(torch.randn(5, 18, 3, 3))), (1, 1), (4, 5))
    chain = Chain([link])
    cut = frames[:, :, 2:6, 4:9]
    found = channels_last(torch.empty(3, 5, 4, 5))
    chain.write([Rectangle.whole(4, 5)], cut, found)
    for one, of in zip(found, cut, strict=True):
        assert torch.equal(whole_of(chain, channels_last(of[None]), one[None]), one[None])
    plain = cut.contiguous()  # channels do not lie side by side: copied
    assert torch.equal(whole_of(chain, plain[:1], found[:1]), found[:1])


@pytest.mark.parametrize(
    "change",
    [
        {"activation": Activation("tanh")},
        {"groups": 2, "weight": torch.zeros(4, 2, 3, 3)},
        {"groups": 4, "weight": torch.zeros(8, 1, 3, 3)},
        {"weight": torch.zeros(4, 4, 9, 9)},
    ],
)
def test_other_layers_do_not_fit(change):
    layer = Layer(torch.zeros(4, 4, 3, 3))
    assert fits(layer)
    assert not fits(layer._replace(**change))


@pytest.mark.parametrize("channels", [1, 16, 21])
def test_the_largest_is_the_one_that_pytorch_finds(channels):
    values = torch.randn(1, channels, 9, 11)
    for odd in (math.nan, math.inf, -math.inf):
        values[torch.rand(values.shape) < 0.1] = odd
    values[:, :, :4, :4] = -math.inf
    rows, columns = Window(3, 2, 1), Window(2, 1, 1)
    expected = pooled(values, rows, columns, ceil=False)
    chain = Chain([Link(NativePooling(channels, rows, columns), (1, 1), expected.shape[2:])])
    found = whole_of(chain, channels_last(values), expected)
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.nan_to_num(0.5), expected.nan_to_num(0.5))
