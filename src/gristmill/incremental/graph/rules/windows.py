"""Rules of convolutions, poolings and normalization."""

from __future__ import annotations

from typing import Any

import torch

from gristmill.incremental.graph.call import Call, NoRuleError
from gristmill.incremental.graph.operator import Operator
from gristmill.incremental.graph.operators.convolution import Convolution, Padding
from gristmill.incremental.graph.operators.global_pooling import AdaptivePooling, GlobalPooling
from gristmill.incremental.graph.operators.pointwise import Affine
from gristmill.incremental.graph.operators.pooling import AveragePooling, MaxPooling
from gristmill.incremental.graph.rules.found import Found, Rule
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.regions.interval import Window

aten = torch.ops.aten


def convolution(call: Call) -> Found:
    """A convolution with constant weights."""
    if call.node.target is aten.convolution.default and call["transposed"]:
        raise NoRuleError
    weight = call.constant("weight")
    dilation = call.pair("dilation")
    spans = [rate * (size - 1) for rate, size in zip(dilation, weight.shape[2:], strict=True)]
    match call["padding"]:
        case "valid":
            padding = Padding()
        case "same":
            # The odd pixel goes below and to the right.
            near = [span // 2 for span in spans]
            padding = Padding(*near, *(span - half for span, half in zip(spans, near, strict=True)))
        case _:
            rows, columns = call.pair("padding")
            padding = Padding(rows, columns, rows, columns)
    layer = Layer(weight, call.optional("bias"), call.pair("stride"), dilation, call["groups"])
    return Found(Convolution(layer, padding), (call.map("input"),))


def batch_norm(call: Call) -> Found:
    """Batch normalization by running figures."""
    if call.get("training", False):
        raise NoRuleError
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    factor = (variance.double() + call["eps"]).rsqrt()
    weight, bias = call.optional("weight"), call.optional("bias")
    factor = factor if weight is None else factor * weight.double()
    shift = -mean.double() * factor
    shift = shift if bias is None else shift + bias.double()
    return Found(Affine(factor.float(), shift.float()), (call.number(call.source("input")),))


def _windows(call: Call) -> tuple[Window, Window]:
    kernel = call.pair("kernel_size")
    stride = call.pair("stride") if call["stride"] else kernel
    padding = call.pair("padding")
    dilation = call.pair("dilation") if call.get("dilation", None) else (1, 1)
    rows, columns = (Window(*each) for each in zip(kernel, stride, padding, dilation, strict=True))
    return rows, columns


def max_pooling(call: Call) -> Found:
    """Max pooling."""
    return Found(MaxPooling(*_windows(call), call["ceil_mode"]), (call.map("self"),))


def average_pooling(call: Call) -> Found:
    """Average pooling."""
    rows, columns = _windows(call)
    pooling = AveragePooling(
        rows, columns, call["ceil_mode"], call["count_include_pad"], call["divisor_override"]
    )
    return Found(pooling, (call.map("self"),))


def adaptive_pooling(kind: Any) -> Rule:
    """Pooling to a fixed size."""

    def rule(call: Call) -> Found:
        size = call.pair("output_size")
        pooling: Operator = AdaptivePooling(kind, size)
        if size == (1, 1):
            pooling = GlobalPooling(kind, keep=True)
        return Found(pooling, (call.map("self"),))

    return rule


def reduction(kind: Any) -> Rule:
    """A mean or maximum over height and width."""

    def rule(call: Call) -> Found:
        number = call.map("self")
        axes = {axis % 4 for axis in call["dim"] or ()}
        if axes != {2, 3} or call.get("dtype", None) is not None:
            raise NoRuleError
        return Found(GlobalPooling(kind, call["keepdim"]), (number,))

    return rule
