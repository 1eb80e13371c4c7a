"""Pointwise convolutions of differences: products of bfloat16, or of integers."""

from __future__ import annotations

import platform
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.kernels.shared_work import shared_by
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.difference_block import DifferenceBlockKernel
from gristmill.incremental.kernels.native.differences import (
    DifferenceConvolution,
    Known,
    quick,
)
from gristmill.incremental.kernels.native.groups import Groups
from gristmill.incremental.kernels.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")

RELU6 = Activation("hardtanh", (0.0, 6.0))


def pointwise(outputs: int, inputs: int, activation: Activation | None = None) -> Layer:
    weight = torch.randn(outputs, inputs, 1, 1) / inputs**0.5
    return Layer(weight, torch.randn(outputs), activation=activation)


def known_map(layer: Layer, values: Tensor, places: Tensor) -> Known:
    sums = values @ layer.weight.flatten(1).T + layer.bias
    return Known(values, sums.contiguous(), places.to(torch.int32))


def rounded(values: Tensor, bits: int) -> Tensor:
    """Numbers of each row as bfloat16, or as whole steps up to 127 of the largest."""
    if bits == 16:
        return values.bfloat16().double()
    largest = values.abs().amax(1, keepdim=True)
    # Not 127 / largest, which is 127 times one over it: half steps would go the other way.
    steps = torch.where(largest > 1e-30, torch.full_like(largest, 127.0) / largest, 0.0)
    return (values * steps).round().double() * (largest / 127).double()


def expected(layer: Layer, rows: Tensor, known: Known, bits: int) -> Tensor:
    """The same with exact sums."""
    places = known.places.long()
    weight = rounded(layer.weight.flatten(1), bits)
    found = known.sums[places].double() + rounded(rows - known.values[places], bits) @ weight.T
    return found if layer.activation is None else layer.activation.apply_(found)


@pytest.mark.parametrize("bits", [8, 16])
@settings(max_examples=30, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 70), st.integers(1, 100)),
    activation=st.sampled_from([None, RELU6, Activation("swish")]),
    pixels=st.integers(1, 230),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_what_rounded_products_add_up_to(bits, channels, activation, pixels, scale, threads, seed):
    torch.manual_seed(seed)
    inputs, outputs = channels
    layer = pointwise(outputs, inputs, activation)
    places = torch.randint(0, 9, (pixels,))
    known = known_map(layer, torch.randn(9, inputs), places)
    rows = known.values[places] + scale * torch.randn(pixels, inputs)
    with shared_by(threads):
        found = DifferenceConvolution(layer, bits)(rows, known)
        alone = DifferenceConvolution(layer, bits)(
            rows[-1:], replace(known, places=places[-1:].int())
        )
    torch.testing.assert_close(
        found.double(), expected(layer, rows, known, bits), rtol=1e-5, atol=1e-5 * max(1.0, scale)
    )
    assert torch.equal(found[-1:], alone)


@pytest.mark.parametrize("bits", [8, 16])
def test_what_does_not_differ_is_what_is_known(bits):
    torch.manual_seed(0)
    layer, places = pointwise(40, 24, RELU6), torch.arange(50) % 7
    known = known_map(layer, torch.randn(7, 24), places)
    found = DifferenceConvolution(layer, bits)(known.values[places], known)
    assert torch.equal(found, known.sums[places].clamp(0, 6))


@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_not_a_number_stays_that(bits):
    layer = pointwise(8, 33)
    known = known_map(layer, torch.zeros(1, 33), torch.zeros(2))
    rows = torch.zeros(2, 33)
    rows[0, 32], rows[1, 3] = torch.nan, torch.inf
    assert not torch.isfinite(DifferenceConvolution(layer, bits)(rows, known)).any()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("strange", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_give_no_numbers_in_their_channel(bits, strange):
    layer = pointwise(8, 33)
    layer.weight[3, 17] = strange
    known = Known(torch.zeros(1, 33), torch.zeros(1, 8), torch.zeros(2, dtype=torch.int32))
    found = DifferenceConvolution(layer, bits)(torch.rand(2, 33) + 0.5, known)
    assert not torch.isfinite(found[:, 3]).any()
    assert torch.isfinite(found[:, [0, 1, 2, 4, 5, 6, 7]]).all()


@pytest.mark.parametrize(("bits", "most"), [(8, 0.04), (16, 0.01)])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_block_is_its_three_convolutions(threads, bits, most, monkeypatch):
    monkeypatch.setattr("gristmill.incremental.kernels.native.sharing.WORTH", 1)
    torch.manual_seed(0)
    first, third = pointwise(48, 10, RELU6), pointwise(20, 48)
    second = Layer(torch.randn(48, 1, 1, 1), torch.randn(48), groups=48, activation=RELU6)
    places = torch.arange(200) % 30
    read = known_map(first, torch.randn(30, 10), places)
    wide = read.sums.clamp(0, 6)
    deep = (wide * second.weight.flatten() + second.bias).clamp(0, 6)
    given_ = known_map(third, deep, places)
    rows = read.values[places] + 0.1 * torch.randn(200, 10)
    spans = torch.tensor([[0, 90, 0, 90], [90, 200, 90, 200]]).numpy()
    numbers = (31 + torch.arange(200, dtype=torch.int32))[:, None].contiguous()
    groups = Groups.of(spans, places.numpy(), places.numpy(), numbers.numpy(), 30)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        kernel = DifferenceBlockKernel(first, second, third, None, bits)
        found = kernel(rows, wide, numbers, groups, (read, given_))
    finally:
        torch.set_num_threads(before)
    inner = DifferenceConvolution(first, bits)(rows, read)
    inner = (inner * second.weight.flatten() + second.bias).clamp(0, 6)
    one_by_one = DifferenceConvolution(third, bits)(inner, given_)
    torch.testing.assert_close(found, one_by_one, rtol=0, atol=1e-2)
    exact = (rows @ first.weight.flatten(1).T + first.bias).clamp(0, 6)
    exact = (exact * second.weight.flatten() + second.bias).clamp(0, 6)
    exact = exact @ third.weight.flatten(1).T + third.bias
    effect = exact - given_.sums[places]
    assert 0 < (found - exact).norm() < most * effect.norm()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="switches x86 instructions off")
def test_processors_without_wide_instructions_find_the_same_integers(monkeypatch):
    torch.manual_seed(0)
    layer, places = pointwise(40, 70, RELU6), torch.arange(100) % 7
    known = known_map(layer, torch.randn(7, 70), places)
    rows = known.values[places] + torch.randn(100, 70)
    here = DifferenceConvolution(layer, 8)(rows, known)
    monkeypatch.setenv("CC", "cc -mno-avx512f")
    for function in (library, quick):
        function.cache_clear()
    try:
        assert not quick(8)
        assert not quick(16)
        elsewhere = DifferenceConvolution(layer, 8)(rows, known)
    finally:
        for function in (library, quick):
            function.cache_clear()
    torch.testing.assert_close(elsewhere, here, rtol=1e-6, atol=1e-6)
