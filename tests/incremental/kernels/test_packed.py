"""Packed convolutions against PyTorch's, and their rectangles against their whole maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.incremental.kernels import packed
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.packed import (
    PackedKernel,
    PlainKernel,
    agrees,
    kernel_for,
    self_test,
)
from gristmill.incremental.kernels.point import PointKernel, fits

needs_packed = pytest.mark.skipif(not packed.available(), reason="no packed convolution here")
ACTIVATIONS = {
    "none": (None, lambda x: x),
    "relu": (Activation("relu"), torch.relu),
    "relu6": (Activation("hardtanh", (0.0, 6.0)), functional.relu6),
    "leaky": (Activation("leaky_relu", (0.2,)), lambda x: functional.leaky_relu(x, 0.2)),
    "hardswish": (Activation("hardswish"), functional.hardswish),
    "swish": (Activation("swish"), functional.silu),
    "sigmoid": (Activation("sigmoid"), torch.sigmoid),
    "tanh": (Activation("tanh"), torch.tanh),
    "gelu": (Activation("gelu"), functional.gelu),
    "gelu by the tangent": (
        Activation("gelu_tanh"),
        lambda x: functional.gelu(x, approximate="tanh"),
    ),
    "hardsigmoid": (Activation("hardsigmoid"), functional.hardsigmoid),
}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def map_of(generator, channels, height, width):
    return torch.randn((1, height, width, channels), generator=generator).permute(0, 3, 1, 2)


def layer_of(generator, outputs, inputs, side, **others):
    weight = torch.randn((outputs, inputs, side, side), generator=generator) / side
    return Layer(weight, torch.randn(outputs, generator=generator), **others)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("kernel", [pytest.param(PackedKernel, marks=needs_packed), PlainKernel])
def test_a_kernel_computes_the_convolution(kernel, name):
    activation, function = ACTIVATIONS[name]
    generator = torch.Generator().manual_seed(3)
    layer = layer_of(generator, 16, 5, 3, stride=(2, 1), activation=activation)
    values = map_of(generator, 5, 12, 9)
    expected = function(functional.conv2d(values, layer.weight, layer.bias, (2, 1), (1, 1)))
    found = kernel(layer)(values, (1, 1))
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_packed
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_product_of_pixels_computes_a_1x1_convolution(name):
    activation, function = ACTIVATIONS[name]
    generator = torch.Generator().manual_seed(3)
    layer = layer_of(generator, 16, 5, 1, activation=activation)
    values = map_of(generator, 5, 12, 9)[:, :, 2:, 1:8]  # rows apart in memory
    for padding in (0, 0), (1, 2):
        expected = function(functional.conv2d(values, layer.weight, layer.bias, 1, padding))
        found = PointKernel(layer)(values, padding)
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_packed
@settings(max_examples=40, deadline=None)
@given(
    side=st.sampled_from([1, 3, 3, 5]),
    stride=st.integers(1, 2),
    groups=st.sampled_from(["dense", "depthwise", "grouped"]),
    channels=st.sampled_from([(3, 16), (8, 8), (12, 20), (32, 48), (64, 24)]),
    size=st.tuples(st.integers(6, 40), st.integers(6, 40)),
    threads=st.integers(1, 2),
    data=st.data(),
)
def test_rectangles_equal_the_whole_map(side, stride, groups, channels, size, threads, data):
    inputs, outputs = channels
    count = {"dense": 1, "depthwise": inputs, "grouped": 4 if inputs % 4 == 0 else 1}[groups]
    outputs = inputs if groups == "depthwise" else outputs
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    layer = layer_of(generator, outputs, inputs // count, side, stride=(stride,) * 2, groups=count)
    kernel = (PointKernel if data.draw(st.booleans()) and fits(layer) else PackedKernel)(layer)
    padding = side // 2
    values = map_of(generator, inputs, *size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = kernel(values, (padding, padding))
        top = data.draw(st.integers(0, whole.shape[2] - 1))
        left = data.draw(st.integers(0, whole.shape[3] - 1))
        bottom = data.draw(st.integers(top + 1, whole.shape[2]))
        right = data.draw(st.integers(left + 1, whole.shape[3]))
        padded = functional.pad(values, (padding,) * 4)
        read = padded[
            :,
            :,
            top * stride : (bottom - 1) * stride + side,
            left * stride : (right - 1) * stride + side,
        ]
        found = kernel(read)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found, whole[:, :, top:bottom, left:right])


@needs_packed
def test_the_self_test_passes_where_the_operator_is_and_leaves_the_threads_alone():
    before = torch.get_num_threads()
    state = torch.get_rng_state()
    self_test.cache_clear()
    assert self_test()
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


@needs_packed
def test_a_kernel_whose_rectangles_differ_is_found_out():
    layer = layer_of(torch.Generator().manual_seed(0), 8, 4, 3)

    class Drifting(PackedKernel):
        def __call__(self, values, padding=(0, 0)):
            return super().__call__(values, padding) * (1 + 1e-6 * values.shape[3])

    assert agrees(PackedKernel(layer), layer, (14, 11), (1, 1))
    assert not agrees(Drifting(layer), layer, (14, 11), (1, 1))


@pytest.mark.usefixtures("without_native")
def test_without_the_operator_the_plain_kernel_is_taken(monkeypatch):
    monkeypatch.setattr(packed, "available", lambda: False)
    self_test.cache_clear()
    try:
        kernel = kernel_for(layer_of(torch.Generator().manual_seed(0), 8, 4, 3))
    finally:
        self_test.cache_clear()
    assert isinstance(kernel, PlainKernel)
    assert not kernel.exact


@needs_packed
@pytest.mark.parametrize(("side", "asked"), [(3, 4), (1, 17)])
def test_layouts_are_shared_between_sizes(side, asked):
    layer = layer_of(torch.Generator().manual_seed(0), 64, 64, side)
    kernel = PackedKernel(layer)
    generator = torch.Generator().manual_seed(1)
    for size in range(3, 20):
        kernel(map_of(generator, 64, size, size))
    assert len(kernel._weights) == asked
    assert len(kernel._layouts) <= 6
