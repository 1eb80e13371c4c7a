"""Convolutions by tiles are as near to the true ones as direct ones are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.tile_grid import READ, SIDE
from gristmill.incremental.kernels.winograd import WinogradKernel, fits, pays


def drawn(*sizes, seed=0):
    return torch.randn(sizes, generator=torch.Generator().manual_seed(seed))


LAYER = Layer(drawn(24, 16, 3, 3), drawn(24), activation=Activation("relu"))


@pytest.fixture(scope="module")
def kernel():
    return WinogradKernel(LAYER)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 40))
def test_tiles_give_what_double_precision_gives(kernel, count):
    tiles = drawn(count, READ, READ, 16, seed=count).permute(0, 3, 1, 2)
    kept = tiles.clone()
    found = kernel(tiles)
    weight, bias = LAYER.weight.double(), LAYER.bias.double()
    expected = functional.conv2d(tiles.double(), weight, bias).relu()
    assert found.shape == expected.shape == (count, 24, SIDE, SIDE)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(tiles, kept)
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=3e-6 * float(expected.abs().max())
    )


def test_many_channels_are_added_up_as_well_as_directly():
    layer = Layer(drawn(256, 128, 3, 3))
    tiles = drawn(4, READ, READ, 128, seed=1).relu().permute(0, 3, 1, 2)
    true = functional.conv2d(tiles.double(), layer.weight.double())
    direct = (functional.conv2d(tiles, layer.weight) - true).norm() / true.norm()
    tiled = (WinogradKernel(layer)(tiles) - true).norm() / true.norm()
    assert tiled < max(4 * direct, 2e-6)


@pytest.mark.parametrize(
    "change",
    [{"stride": (2, 1)}, {"dilation": (1, 2)}, {"weight": drawn(4, 4, 1, 3)}, {"groups": 2}],
)
def test_other_layers_do_not_fit(change):
    assert fits(LAYER)
    assert not fits(LAYER._replace(**change))


def test_few_channels_and_few_pixels_of_a_tile_do_not_pay():
    large = Layer(torch.empty(512, 512, 3, 3))
    assert not pays(LAYER, 128, 128 * SIDE**2)
    assert pays(large, 128, 128 * SIDE**2)
    assert not pays(large, 128, 128)
    assert not pays(large, 1, SIDE**2)
