"""A convolution in C: its numbers, packed for the kernels of this machine."""

from __future__ import annotations

import ctypes
import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.structures import ConvolutionStructure

Bits: TypeAlias = Literal[8, 16, 32]
"""Of the numbers that are multiplied: integers, bfloat16, or floats."""

_BENDS = {"leaky_relu": 1, "hardsigmoid": 2, "hardswish": 3, "sigmoid": 4, "swish": 5}
_RUNS = 64
"""Windows of more pixels are left to oneDNN (`MOST_RUNS`)."""


class NativeConvolution:
    """A layer that `fits`, ready for C.

    Args:
        layer: its numbers.
        bits: of the numbers that are multiplied; fewer than 32 of a layer that is `pointwise` and
            takes differences.

    Attributes:
        products: of each pixel of the results.
        adds: whether something can be added to its results in the same pass.
        structure: for C; its padding is to be set.
    """

    def __init__(self, layer: Layer, bits: Bits = 32) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `fits` has said so
        self.products = layer.weight.numel()
        self.adds = layer.activation is None or is_bounds(layer.activation)
        outputs, inputs, rows, columns = layer.weight.shape
        low, high = bounds(layer.activation)
        bend, slope = bending(layer.activation)
        self.structure = ConvolutionStructure(
            inputs=inputs * layer.groups,
            outputs=outputs,
            rows=rows,
            columns=columns,
            row_stride=layer.stride[0],
            column_stride=layer.stride[1],
            row_dilation=layer.dilation[0],
            column_dilation=layer.dilation[1],
            depthwise=layer.groups > 1,
            bits=bits,
            finite=bool(layer.weight.isfinite().all()),
            bend=bend,
            slope=slope,
            low=low,
            high=high,
            sum_low=-math.inf,
            sum_high=math.inf,
        )
        at = ctypes.byref(self.structure)
        weight = layer.weight.contiguous()
        self._weights = torch.zeros(native.packed_weights(at))
        self._bias = torch.zeros(native.packed_bias(at))
        if layer.bias is not None:
            self._bias[:outputs] = layer.bias
        if bits < 32:
            self._scales = torch.zeros_like(self._bias)
            self._offsets = torch.zeros_like(self._bias, dtype=torch.int32)
            self.structure.scales = self._scales.data_ptr()
            self.structure.offsets = self._offsets.data_ptr()
            found = map(_address, (weight, self._weights, self._scales, self._offsets))
            native.pack_rounded_weights(at, *found)
        else:
            native.pack_weights(at, _address(weight), _address(self._weights))
        self.structure.weights = self._weights.data_ptr()
        self.structure.bias = self._bias.data_ptr()


def fits(layer: Layer) -> bool:
    """Whether there is a C compiler, and a kernel in C for the layer."""
    outputs, inputs, rows, columns = layer.weight.shape
    mixed = layer.groups == 1
    separate = inputs == 1 and outputs == layer.groups
    known = is_known(layer.activation)
    plain = layer.weight.device.type == "cpu" and layer.weight.dtype == torch.float32
    return (
        known
        and plain
        and (mixed or separate)
        and rows * columns <= _RUNS
        and library() is not None
    )


def pointwise(layer: Layer) -> bool:
    """Whether there is a C compiler, and the layer mixes the channels of single pixels."""
    single = tuple(layer.weight.shape[2:]) == (1, 1) == tuple(layer.stride)
    return single and layer.groups == 1 and fits(layer)


def is_known(activation: Activation | None) -> bool:
    """Whether kernels in C apply an activation."""
    return activation is None or is_bounds(activation) or activation.kind in _BENDS


def bending(activation: Activation | None) -> tuple[int, float]:
    """Number of an activation in C if it is more than bounds, else 0; and its slope below zero."""
    if activation is None:
        return 0, 0.0
    slope = activation.scalars[0] if activation.kind == "leaky_relu" else 0.0
    return _BENDS.get(activation.kind, 0), slope


def is_bounds(activation: Activation) -> bool:
    """Whether an activation keeps results within bounds, and does nothing else."""
    return activation.kind in ("relu", "hardtanh")


def bounds(activation: Activation | None) -> tuple[float, float]:
    """Bounds that an activation consists in; infinite ones where it is none or another."""
    match activation:
        case Activation("relu"):
            return 0.0, math.inf
        case Activation("hardtanh", (low, high)):
            return low, high
        case _:
            return -math.inf, math.inf


def _address(values: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.data_ptr())
