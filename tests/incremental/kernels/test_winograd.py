"""Convolutions by tiles are as near to the true ones as direct ones are."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.tile_grid import READ, SIDE
from gristmill.incremental.kernels.tiled import TiledKernel
from gristmill.incremental.kernels.winograd import Ending, WinogradKernel, available, fits, pays

needs_tiles = pytest.mark.skipif(not available(), reason="no C compiler here")


def drawn(*sizes, seed=0):
    return torch.randn(sizes, generator=torch.Generator().manual_seed(seed))


def drawn_map(*sizes, seed=0):
    """[1, channels, height, width] in channels-last memory."""
    return drawn(*sizes, seed=seed)[None].contiguous(memory_format=torch.channels_last)


RELU = Activation("relu")
# A panel on machines with vectors of 16 floats, and some vectors besides.
LAYER = Layer(drawn(112, 32, 3, 3), drawn(112), activation=RELU)


@pytest.fixture(scope="module")
def kernel():
    return WinogradKernel(LAYER)


@needs_tiles
@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 40))
def test_tiles_give_what_double_precision_gives(kernel, count):
    tiles = drawn(count, READ, READ, 32, seed=count).permute(0, 3, 1, 2)
    kept = tiles.clone()
    found = kernel(tiles)
    weight, bias = LAYER.weight.double(), LAYER.bias.double()
    expected = functional.conv2d(tiles.double(), weight, bias).relu()
    assert found.shape == expected.shape == (count, 112, SIDE, SIDE)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(tiles, kept)
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=3e-6 * float(expected.abs().max())
    )


@needs_tiles
@pytest.mark.parametrize("inputs", [128, 1024], ids=["small blocks", "large blocks"])
def test_many_channels_are_added_up_as_well_as_directly(inputs):
    layer = Layer(drawn(128, inputs, 3, 3))
    tiles = drawn(4, READ, READ, inputs, seed=1).relu().permute(0, 3, 1, 2)
    true = functional.conv2d(tiles.double(), layer.weight.double())
    direct = (functional.conv2d(tiles, layer.weight) - true).norm() / true.norm()
    tiled = (WinogradKernel(layer)(tiles) - true).norm() / true.norm()
    assert tiled < max(4 * direct, 2e-6)


@needs_tiles
@settings(max_examples=40, deadline=None)
@given(
    before=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    after=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.tuples(st.integers(4, 21), st.integers(4, 21)),
    lead=st.sampled_from([0, 2]),
    ending=st.sampled_from(["plain", "added", "pooled"]),
    seed=st.integers(0, 999),
)
def test_regions_have_the_bits_of_the_whole_map(kernel, before, after, size, lead, ending, seed):
    tiled = TiledKernel(kernel, before, after, lead)
    values = drawn_map(32, *size, seed=seed)
    height, width = tiled.grid(*size).size
    plain = tiled.region((0, 0, height, width), values)
    padding = before[1], after[1], before[0], after[0]
    true = functional.conv2d(
        functional.pad(values, padding).double(), LAYER.weight.double(), LAYER.bias.double()
    ).relu()
    torch.testing.assert_close(plain.double(), true, rtol=0, atol=1e-5 * float(true.max() + 1))

    added, how, side = None, Ending(), 1
    expected = plain
    if ending == "added":
        added, how = drawn_map(112, height, width, seed=seed + 1), Ending(activation=RELU)
        expected = (plain + added).relu()
    elif ending == "pooled" and min(height, width) > 1:
        how, side = Ending(pooled=True), 2
        expected = functional.max_pool2d(plain, 2)
    random = Random(seed)
    height, width = expected.shape[2:]
    top, left = random.randrange(height), random.randrange(width)
    low, right = random.randint(top + 1, height), random.randint(left + 1, width)
    found = torch.empty((1, 112, low - top, right - left), memory_format=torch.channels_last)
    region = side * top, side * left, side * low, side * right
    tiled.write(found, values, [region], (top, left), how, added)
    assert torch.equal(found, expected[:, :, top:low, left:right])


@needs_tiles
@pytest.mark.parametrize(
    ("lead", "places"), [(0, [(0, 4, 0, 8), (8, 9, 0, 4)]), (2, [(0, 2, 2, 6), (6, 9, 0, 2)])]
)
def test_only_tiles_that_are_touched_are_written(kernel, lead, places):
    tiled = TiledKernel(kernel, (1, 1), (1, 1), lead)
    found = torch.full((1, 112, 9, 14), -1.0).contiguous(memory_format=torch.channels_last)
    tiled.write(found, drawn_map(32, 9, 14), [(0, 3, 2, 6), (8, 0, 9, 1)])
    written = torch.zeros(9, 14, dtype=torch.bool)
    for top, bottom, left, right in places:
        written[top:bottom, left:right] = True
    assert torch.equal((found[0] != -1).all(0), written)
    assert torch.equal((found[0] != -1).any(0), written)


@needs_tiles
def test_threads_that_share_tiles_change_no_bit(kernel, monkeypatch):
    tiled, values = TiledKernel(kernel, (1, 1), (1, 1)), drawn_map(32, 21, 30)
    alone = tiled.region((0, 0, 21, 30), values)
    parts = []
    call = kernel._call

    def counted(structures, places):
        parts.append(len(places))
        call(structures, places)

    monkeypatch.setattr(kernel, "_call", counted)
    monkeypatch.setattr("gristmill.incremental.kernels.winograd.WORTH", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = tiled.region((0, 0, 21, 30), values)
    finally:
        torch.set_num_threads(before)
    assert sorted(parts) == [16, 16, 16]
    assert torch.equal(together, alone)


@needs_tiles
def test_numbers_that_are_none_stay_what_they_are(kernel):
    tiled = TiledKernel(kernel, (1, 1), (1, 1))
    values = drawn_map(32, 8, 8)
    values[0, 5, 1, 6] = math.nan
    plain = tiled.region((0, 0, 8, 8), values)
    assert plain[0, :, 0:3, 5:8].isnan().all()
    assert not plain[0, :, 4:].isnan().any()  # other tiles, which do not read it
    assert not plain[0, :, :, :4].isnan().any()
    pooled = torch.empty((1, 112, 4, 4), memory_format=torch.channels_last)
    tiled.write(pooled, values, [(0, 0, 8, 8)], ending=Ending(pooled=True))
    torch.testing.assert_close(
        pooled, functional.max_pool2d(plain, 2), rtol=0, atol=0, equal_nan=True
    )


@needs_tiles
@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (None, lambda x: x),
        (Activation("hardtanh", (-0.5, 6.0)), lambda x: x.clamp(-0.5, 6.0)),
        (Activation("leaky_relu", (0.1,)), lambda x: functional.leaky_relu(x, 0.1)),
        (Activation("hardswish"), functional.hardswish),
        (Activation("swish"), functional.silu),
    ],
    ids=["none", "hardtanh", "leaky_relu", "hardswish", "swish"],
)
def test_activations_are_applied_to_results(activation, expected):
    tiles = drawn(3, READ, READ, 32, seed=3).permute(0, 3, 1, 2)
    true = functional.conv2d(tiles.double(), LAYER.weight.double())
    found = WinogradKernel(LAYER._replace(bias=None, activation=activation))(tiles)
    torch.testing.assert_close(found.double(), expected(true), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"stride": (2, 1)},
        {"dilation": (1, 2)},
        {"weight": drawn(16, 16, 1, 3)},
        {"weight": drawn(16, 24, 3, 3)},
        {"groups": 2},
        {"activation": Activation("tanh")},
    ],
    ids=["stride", "dilation", "window", "channels", "groups", "activation"],
)
def test_other_layers_do_not_fit(change):
    assert fits(LAYER) == available()
    assert not fits(LAYER._replace(**change))


def test_without_a_compiler_nothing_fits(monkeypatch):
    monkeypatch.setattr("gristmill.incremental.kernels.winograd.library", lambda: None)
    available.cache_clear()
    try:
        assert not fits(LAYER)
    finally:
        available.cache_clear()


def test_few_channels_and_few_pixels_of_a_tile_do_not_pay():
    few, many = Layer(torch.empty(8, 8, 3, 3)), Layer(torch.empty(512, 512, 3, 3))
    assert not pays(few, 128, 128 * SIDE**2)
    assert pays(LAYER, 128, 128 * SIDE**2)
    assert pays(many, 128, 128 * SIDE**2)
    assert not pays(many, 128, 128)
    assert not pays(many, 1, SIDE**2)
