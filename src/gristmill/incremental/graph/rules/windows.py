"""Rules of convolutions, poolings and normalization."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from gristmill.incremental.graph.call import Call, NoRuleError, sizes
from gristmill.incremental.graph.operator import Operator
from gristmill.incremental.graph.operators.convolution import Convolution, Padding
from gristmill.incremental.graph.operators.gathering import Cropping
from gristmill.incremental.graph.operators.global_pooling import AdaptivePooling, GlobalPooling
from gristmill.incremental.graph.operators.pixel_shuffle import PixelShuffle
from gristmill.incremental.graph.operators.pointwise import Affine
from gristmill.incremental.graph.operators.pooling import AveragePooling, MaxPooling
from gristmill.incremental.graph.rules.found import Found, Rule
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.regions.interval import Window

aten = torch.ops.aten


def convolution(call: Call) -> Found:
    """A convolution with constant weights."""
    if call.node.target is aten.convolution.default and call["transposed"]:
        return transposed_convolution(call)
    source, weight = call.map("input"), call.constant("weight")
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
    return Found(Convolution(layer, padding), (source,))


def transposed_convolution(call: Call) -> Found:
    """A transposed convolution of one stride, as a convolution and its channels made pixels.

    Of stride s, results s apart are made of the same pixels with every s-th weight: all the s * s
    kinds of results are channels of one convolution, its kernel turned round.
    """
    source = call.map("input")
    weight = call.constant("weight")  # [inputs, outputs of a group, height, width]
    bias, groups, (stride, other) = call.optional("bias"), call["groups"], call.pair("stride")
    rows, columns = (
        _Transposed(size, stride, *each)
        for size, *each in zip(
            weight.shape[2:], call.pair("padding"), call.pair("output_padding"), strict=True
        )
    )
    sides = (rows.near, columns.near, rows.far, columns.far)
    if stride != other or call.pair("dilation") != (1, 1) or min(sides) < 0:
        raise NoRuleError
    taps = functional.pad(weight, (0, columns.spare, 0, rows.spare))
    taps = taps.unflatten(3, (columns.taps, stride)).unflatten(2, (rows.taps, stride))
    taps = taps.unflatten(0, (groups, -1)).flip(3, 5)
    # From [groups, inputs, outputs, rows, row, columns, column] of each group.
    taps = taps.permute(0, 2, 4, 6, 1, 3, 5).flatten(1, 3).flatten(0, 1).contiguous()
    bias = None if bias is None else bias.repeat_interleave(stride**2)
    convolution = Convolution(Layer(taps, bias, (1, 1), (1, 1), groups), Padding(*sides))
    shuffle = (PixelShuffle(stride),) if stride > 1 else ()
    cropped = (Cropping(rows.kept, columns.kept),) if rows.cropped or columns.cropped else ()
    return Found(convolution, (source,), (*shuffle, *cropped))


class _Transposed:
    """One axis of a transposed convolution as a convolution whose results lie `stride` apart.

    Result n is the sum of x[q - t] * w[stride * t + r], where n + padding = stride * q + r. So the
    convolution has one result for each q, and `stride` pixels are made of its channels.

    Args:
        size: of the kernel.
        stride: from one input pixel's results to the next one's.
        padding: results that are left out at either edge.
        more: results that are there beside at the far one.

    Attributes:
        taps: length of the convolution's kernel.
        spare: weights that are not there, which it multiplies all the same.
        near: zeros before the map.
        far: zeros behind it.
    """

    def __init__(self, size: int, stride: int, padding: int, more: int) -> None:
        self.taps = -(-size // stride)
        self.spare = self.taps * stride - size
        first, self._skipped = divmod(padding, stride)
        self.near = self.taps - 1 - first
        self.far, last = divmod(size - 1 - padding + more, stride)
        self._dropped = stride - 1 - last

    @property
    def cropped(self) -> bool:
        """Whether pixels are left out at an edge."""
        return bool(self._skipped or self._dropped)

    @property
    def kept(self) -> slice:
        """Pixels that are results."""
        return slice(self._skipped, -self._dropped or None)


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
    """A mean or maximum over height and width, or a mean over channels."""

    def rule(call: Call) -> Found:
        number = call.map("self")
        axes = {axis % 4 for axis in call["dim"] or ()}
        if axes == {1} and kind == "mean":
            return channel_sum(call)
        if axes != {2, 3} or call.get("dtype", None) is not None:
            raise NoRuleError
        return Found(GlobalPooling(kind, call["keepdim"]), (number,))

    return rule


def channel_sum(call: Call) -> Found:
    """The sum or the mean of each pixel's channels: a convolution with one weight for all."""
    number, channels = call.map("self"), sizes(call.source("self"))[1]
    axes = [axis % 4 for axis in call["dim"] or ()]
    if axes != [1] or not call["keepdim"] or call["dtype"] is not None:
        raise NoRuleError
    share = 1 / channels if call.node.target is aten.mean.dim else 1.0
    weight = torch.full((1, channels, 1, 1), share)
    return Found(Convolution(Layer(weight), Padding()), (number,))
