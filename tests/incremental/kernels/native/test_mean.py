"""Means of maps, and of what 1x1 convolutions make of maps: the same bits in every way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.kernels.shared_work import shared_by

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.mean import MeanKernel, mean

ACTIVATIONS = [None, Activation("relu"), Activation("hardtanh", (0.0, 6.0)), Activation("swish")]


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(
        st.integers(1, 3), st.sampled_from([1, 3, 64, 70, 192, 450]), *[st.integers(1, 15)] * 2
    ),
    last=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_a_mean_is_that_of_doubles(shape, last, seed):
    torch.manual_seed(seed)
    values = 5 + torch.randn(shape)
    laid = values.contiguous(memory_format=torch.channels_last) if last else values
    expected = values.double().mean((2, 3)).float()
    # Doubles are added in another order: one in thousands is rounded to the float beside it.
    torch.testing.assert_close(mean(laid), expected, rtol=2e-7, atol=1e-7)
    assert torch.equal(mean(laid), mean(values))


def test_a_mean_of_a_large_map_does_not_drift():
    values = torch.full((1, 2, 1000, 1000), 0.1)
    assert torch.equal(mean(values), torch.full((1, 2), 0.1))


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@settings(max_examples=40, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 40), st.sampled_from([1, 17, 192, 250, 400])),
    side=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    maps=st.integers(1, 9),
    activation=st.sampled_from(ACTIVATIONS),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_means_of_a_convolution_are_those_of_its_results(
    channels, side, maps, activation, threads, seed
):
    torch.manual_seed(seed)
    inputs, outputs = channels
    layer = Layer(torch.randn(outputs, inputs, 1, 1), torch.randn(outputs), activation=activation)
    kernel, pixels = DirectKernel(layer), side[0] * side[1]
    rows = torch.randn(maps * pixels, inputs)
    ends = np.arange(maps + 1) * pixels
    with shared_by(threads):
        found = MeanKernel(kernel.convolution)(rows, np.stack([ends[:-1], ends[1:]], 1))
    read = rows.view(maps, *side, inputs).permute(0, 3, 1, 2)
    assert torch.equal(found, mean(kernel(read)))
