"""Calls and the operators they become, many in one module: a capture takes a second."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gristmill.incremental.graph.capture import capture
from gristmill.incremental.graph.operators.opaque import Opaque

SCALE = torch.tensor([0.5, 1.0, 2.0, -3.0])
MATRIX = torch.arange(20.0).reshape(5, 4) - 10


def last(x, function):
    """What a function makes of a map with its channels last."""
    return function(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


KNOWN = {
    "abs": lambda x: x.abs(),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "clamp from below": lambda x: x.clamp(min=0.1),
    "square root": lambda x: (x * x + 1).sqrt(),
    "gelu": functional.gelu,
    "mish": functional.mish,
    "leaky": lambda x: functional.leaky_relu(x, 0.2),
    "hardswish": functional.hardswish,
    "tanh": torch.tanh,
    "from one": lambda x: 1 - x,
    "half": lambda x: x / 2,
    "two over": lambda x: 2 / (x.abs() + 1),
    "larger": lambda x: torch.maximum(x, -x),
    "channel": lambda x: x * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1),
    "mirrored": lambda x: functional.pad(x, (1, 2, 2, 1), mode="reflect"),
    "filled": lambda x: functional.pad(x, (1, 0, 0, 2), value=0.5),
    "strided": lambda x: x[:, 1:3, ::2, 1::2],
    "split": lambda x: torch.cat(torch.split(x, [1, 3], dim=1)[::-1], dim=1),
    "exact": lambda x: functional.interpolate(x, scale_factor=2, mode="nearest-exact"),
    "smooth": lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "largest parts": lambda x: functional.adaptive_max_pool2d(x, (2, 3)),
    "largest": lambda x: x.amax((2, 3), keepdim=True) + x,
    "one number": lambda x: x.mean((-1, -2)),
    "unshuffled": lambda x: functional.pixel_unshuffle(x, 2),
    "shuffled": lambda x: functional.channel_shuffle(x, 2),
    "gate": lambda x: x.mean((2, 3))[:, :, None, None] * x,
    "flat": lambda x: x.reshape(1, -1),
    "softmax": lambda x: x.softmax(1),
    "logarithm of softmax": lambda x: x.log_softmax(-3),
    "mean over channels": lambda x: x.mean(1, keepdim=True),
    "sum over channels": lambda x: x.sum(1, keepdim=True),
    "slope of each channel": lambda x: functional.prelu(x, torch.tensor([0.1, 0.2, 0.3, -0.4])),
    "squared": lambda x: x**2,
    "gelu by the tangent": lambda x: functional.gelu(x, approximate="tanh"),
    "all of a map": lambda x: x[:, :4, :, :] + 1,
    "a constant's part": lambda x: x * torch.ones(2, 4, 1, 1).split(1)[1],
    "pixels by hand": lambda x: (
        x.view(1, 1, 2, 2, *x.shape[2:])
        .permute(0, 1, 4, 2, 5, 3)
        .reshape(1, 1, 2 * x.shape[2], 2 * x.shape[3])
    ),
    "turned and back": lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2) - x,
    "normalized": lambda x: last(x, lambda y: functional.layer_norm(y, (4,), SCALE, -SCALE)),
    "multiplied": lambda x: last(x, lambda y: functional.linear(y, MATRIX, MATRIX[:, 0])),
    "worked on while turned": lambda x: last(
        x, lambda y: functional.gelu(SCALE * (y.contiguous() - 0.5)).softmax(-1) + y
    ),
}
UNKNOWN = {
    "softmax over a row": lambda x: x.softmax(3),
    "mean over a row": lambda x: x.mean(3, keepdim=True),
    "cumulated": lambda x: x.cumsum(1),
    "turned": lambda x: x.transpose(2, 3),
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "normalized otherwise": lambda x: last(x, lambda y: functional.layer_norm(y, (10, 4))),
    "six sides": lambda x: (
        x.view(1, 1, 2, 2, 12, 10).permute(0, 1, 4, 3, 5, 2).reshape(1, 1, 24, 20)
    ),
    "turned twice": lambda x: last(x, lambda y: y.permute(0, 2, 3, 1)),
    "a constant of each column": lambda x: last(x, lambda y: y * torch.arange(10.0)[:, None]),
    "sum": lambda x: x.sum(),
    "more than a layout": lambda x: x.mean((2, 3))[:, :, None].cumsum(1)[:, :, None],
    "other layout": lambda x: x.view(1, 8, 6, 10),
    "dealt otherwise": lambda x: x.view(1, 2, 2, 12, 10).transpose(2, 3).reshape(1, 4, 12, 10),
}


class Each(nn.Module):
    def __init__(self, functions):
        super().__init__()
        self.functions = functions
        self.same = nn.Conv2d(4, 4, (2, 5), padding="same", dilation=(1, 2))

    def forward(self, x):
        return (*tuple(function(x) for function in self.functions), self.same(x))


@pytest.fixture(scope="module")
def example():
    return torch.randn((1, 4, 12, 10), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def known(example):
    module = Each(list(KNOWN.values())).eval()
    with torch.inference_mode():
        return capture(module, example), module


@pytest.mark.parametrize("name", [*KNOWN, "padded to the same size"])
def test_a_known_call(known, example, name):
    graph, module = known
    place = [*KNOWN, "padded to the same size"].index(name)
    with torch.inference_mode():
        found, expected = graph.run(example)[graph.outputs[place]], module(example)[place]
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_none_of_them_is_opaque(known):
    graph, _ = known
    assert [node.name for node in graph.nodes if isinstance(node.operator, Opaque)] == []
    assert graph.notes == ()


def test_known_calls_at_another_size(known):
    graph, module = known
    frame = torch.randn((1, 4, 8, 14), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        values, expected = graph.run(frame), module(frame)
    for number, each in zip(graph.outputs, expected, strict=True):
        torch.testing.assert_close(values[number], each, rtol=1e-5, atol=1e-6)


def test_unknown_calls_are_opaque_and_right(example):
    module = Each(list(UNKNOWN.values())).eval()
    graph = capture(module, example, any_size=False)
    with torch.inference_mode():
        values, expected = graph.run(example), module(example)
    for number, each in zip(graph.outputs, expected, strict=True):
        torch.testing.assert_close(values[number], each)
    opaque = [graph.nodes[number].operator for number in graph.outputs[:-1]]
    assert all(isinstance(operator, Opaque) for operator in opaque)
    assert len(graph.notes) == len(UNKNOWN)


def test_squares_of_pixels_made_channels_by_hand(example):
    class Squares(nn.Module):
        def forward(self, x):
            return x.view(1, 4, 6, 2, 5, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 16, 6, 5) * 2

    graph = capture(Squares(), example, any_size=False)
    assert [node.operator.title for node in graph.nodes] == ["pixelunshuffle", "mul"]
    expected = 2 * functional.pixel_unshuffle(example, 2)
    assert torch.equal(graph.run(example)[graph.output], expected)
