"""Single convolutions in C as kernels of a graph."""

import pytest
import torch
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native import convolution
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.packed import agrees, kernel_for, native_self_test

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")


def layer_of(**others):
    torch.manual_seed(0)
    return Layer(torch.randn(20, 6, 3, 3), torch.randn(20), **others)


def test_taken_where_there_is_a_compiler():
    kernel = kernel_for(layer_of(activation=Activation("relu")))
    assert isinstance(kernel, DirectKernel)
    assert kernel.exact


@pytest.mark.usefixtures("without_native")
def test_not_taken_where_there_is_none():
    assert not isinstance(kernel_for(layer_of()), DirectKernel)


def test_not_taken_where_rectangles_differ_from_the_whole(monkeypatch):
    plain = DirectKernel.__call__

    def drifting(self, values, padding=(0, 0)):
        return plain(self, values, padding) * (1 + 1e-6 * values.shape[3])

    native_self_test.cache_clear()
    monkeypatch.setattr(DirectKernel, "__call__", drifting)
    try:
        assert not isinstance(kernel_for(layer_of()), DirectKernel)
    finally:
        native_self_test.cache_clear()


def test_computes_the_convolution_of_each_frame():
    layer = layer_of(stride=(2, 1), activation=Activation("hardtanh", (-1.0, 2.0)))
    frames = torch.randn(3, 6, 12, 9).contiguous(memory_format=torch.channels_last)
    expected = functional.conv2d(frames, layer.weight, layer.bias, (2, 1), (1, 2))
    found = DirectKernel(layer)(frames, (1, 2))
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected.clamp(-1.0, 2.0), rtol=1e-5, atol=1e-5)


def test_rectangles_equal_the_whole_map():
    layer = layer_of(dilation=(2, 1))
    assert convolution.fits(layer)
    assert agrees(DirectKernel(layer), layer, (30, 23), (2, 1))
