"""Convolutions by tiles are as near to the true ones as direct ones are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.winograd import WinogradKernel, fits, pays


def drawn(*sizes, seed=0):
    return torch.randn(sizes, generator=torch.Generator().manual_seed(seed))


LAYER = Layer(drawn(24, 16, 3, 3), drawn(24), activation=Activation("relu"))


@pytest.fixture(scope="module")
def kernel():
    return WinogradKernel(LAYER)


@settings(max_examples=25, deadline=None)
@given(
    frames=st.integers(1, 4),
    height=st.integers(3, 15),
    width=st.integers(3, 15),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_tiles_give_what_double_precision_gives(kernel, frames, height, width, padding):
    values = drawn(frames, 16, height, width, seed=height).contiguous(
        memory_format=torch.channels_last
    )
    kept = values.clone()
    found = kernel(values, padding)
    weight, bias = LAYER.weight.double(), LAYER.bias.double()
    expected = functional.conv2d(values.double(), weight, bias, padding=padding).relu()
    assert found.shape == expected.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(values, kept)
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=3e-6 * float(expected.abs().max())
    )


def test_many_channels_are_added_up_as_well_as_directly():
    layer = Layer(drawn(128, 256, 3, 3))
    values = drawn(1, 256, 10, 10, seed=1).relu()
    true = functional.conv2d(values.double(), layer.weight.double())
    direct = (functional.conv2d(values, layer.weight) - true).norm() / true.norm()
    tiled = (WinogradKernel(layer)(values) - true).norm() / true.norm()
    assert tiled < max(4 * direct, 2e-6)


@pytest.mark.parametrize(
    "change",
    [{"stride": (2, 1)}, {"dilation": (1, 2)}, {"weight": drawn(4, 4, 1, 3)}, {"groups": 2}],
)
def test_other_layers_do_not_fit(change):
    assert fits(LAYER)
    assert not fits(LAYER._replace(**change))


def test_few_channels_do_not_pay():
    assert not pays(LAYER, 32, 32, 32)
    assert pays(Layer(torch.empty(512, 512, 3, 3)), 32, 8, 8)
    assert not pays(Layer(torch.empty(512, 512, 3, 3)), 32, 1, 1)
