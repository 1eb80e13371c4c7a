"""Pointwise convolutions in C pass over zeros, and keep the bits of those that do not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")


def pointwise(outputs: int, inputs: int, activation: Activation | None = None) -> Layer:
    weight = torch.randn(outputs, inputs, 1, 1) / inputs**0.5
    return Layer(weight, torch.randn(outputs), activation=activation)


def convolved(layer: Layer, values: Tensor, *, passes_zeros: bool) -> Tensor:
    kernel = DirectKernel(layer)
    kernel.convolution.structure.finite = passes_zeros and kernel.convolution.structure.finite
    return kernel(values)


@settings(max_examples=40, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    size=st.tuples(st.integers(1, 12), st.integers(1, 15)),
    activation=st.sampled_from([None, Activation("hardtanh", (0.0, 6.0)), Activation("swish")]),
    dead=st.floats(0, 1),
    zeros=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_the_bits_of_all_products(channels, size, activation, dead, zeros, seed):
    torch.manual_seed(seed)
    inputs, outputs = channels
    layer = pointwise(outputs, inputs, activation)
    values = torch.randn(1, inputs, *size).contiguous(memory_format=torch.channels_last)
    values[torch.rand_like(values) < zeros] = 0.0
    values[:, torch.rand(inputs) < dead] = -0.0
    found = convolved(layer, values, passes_zeros=True)
    assert torch.equal(found, convolved(layer, values, passes_zeros=False))
    expected = torch.nn.functional.conv2d(values.double(), layer.weight.double())
    expected += layer.bias.double()[:, None, None]
    if activation is not None:
        expected = activation.apply_(expected)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_more_channels_than_a_list_holds():
    torch.manual_seed(0)
    layer = pointwise(20, 3000)
    values = torch.randn(1, 3000, 5, 5).contiguous(memory_format=torch.channels_last).relu()
    values[:, 7:2900] = 0.0
    found = convolved(layer, values, passes_zeros=True)
    assert torch.equal(found, convolved(layer, values, passes_zeros=False))


@pytest.mark.parametrize("strange", [torch.nan, torch.inf])
def test_zero_times_what_is_not_finite_is_no_number(strange):
    layer = pointwise(4, 32)
    layer.weight[2, 5] = strange
    found = DirectKernel(layer)(torch.zeros(1, 32, 3, 3))
    assert found[:, 2].isnan().all()
    assert found[:, [0, 1, 3]].isfinite().all()


def test_what_is_not_a_number_is_not_passed_over():
    layer = pointwise(4, 32)
    values = torch.zeros(1, 32, 3, 3)
    values[0, 9, 1, 1] = torch.nan
    found = DirectKernel(layer)(values)
    assert found[0, :, 1, 1].isnan().all()
    assert int(found.isnan().sum()) == 4
