"""A depthwise convolution of pixels wherever they lie has the bits of one on the map they make."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.kernels.shared_work import shared_by
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.scattered import ScatteredConvolution, suits

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")


def depthwise(channels: int, side: tuple[int, int], activation: Activation | None = None) -> Layer:
    weight = torch.randn(channels, 1, *side)
    return Layer(weight, torch.randn(channels), groups=channels, activation=activation)


def rows_of(values: Tensor) -> Tensor:
    """A row of channels for each pixel of a map, [1, channels, height, width]."""
    return values[0].permute(1, 2, 0).flatten(0, 1)


def numbers_read(layer: Layer, height: int, width: int, patched: Tensor) -> Tensor:
    """Rows that each result reads, from the whole map or, where it is patched, from patches."""
    count = height * width
    rows = torch.arange(count, dtype=torch.int32)
    rows[patched] = count + 1 + torch.arange(len(patched), dtype=torch.int32)
    down, across = layer.weight.shape[2:]
    around = (across // 2, across // 2, down // 2, down // 2)
    padded = functional.pad(rows.view(height, width), around, value=count)
    return padded.unfold(0, down, 1).unfold(1, across, 1).reshape(-1, down * across).contiguous()


@settings(max_examples=25, deadline=None)
@given(
    channels=st.sampled_from([16, 32, 80]),
    side=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])),
    size=st.tuples(st.integers(1, 12), st.integers(1, 15)),
    activation=st.sampled_from([None, Activation("hardtanh", (0.0, 6.0)), Activation("hardswish")]),
    share=st.floats(0, 1),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_the_bits_of_the_whole_map(channels, side, size, activation, share, threads, seed):
    torch.manual_seed(seed)
    height, width = size
    layer = depthwise(channels, side, activation)
    base = torch.randn(1, channels, height, width).contiguous(memory_format=torch.channels_last)
    patched = (torch.rand(height * width) < share).nonzero()[:, 0]
    patches = torch.randn(len(patched), channels)
    changed = rows_of(base).clone()
    changed[patched] = patches
    whole = changed.view(1, height, width, channels).permute(0, 3, 1, 2)
    expected = rows_of(DirectKernel(layer)(whole, (side[0] // 2, side[1] // 2)))
    with shared_by(threads):
        numbers = numbers_read(layer, height, width, patched)
        found = ScatteredConvolution(layer)(rows_of(base), patches, numbers)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("layer", "suited"),
    [
        (depthwise(32, (3, 3)), True),
        (depthwise(24, (3, 3)), False),  # what is read of the last pixel would end beyond it
        (Layer(torch.randn(32, 32, 3, 3), None), False),
        (Layer(torch.randn(32, 1, 3, 3), None, groups=16), False),
        (depthwise(16, (9, 9)), False),
    ],
)
def test_what_it_takes(layer, suited):
    assert suits(layer) is suited
