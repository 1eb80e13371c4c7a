"""Which rule goes with which call."""

from __future__ import annotations

import operator as python_operator
from functools import partial
from typing import Any

import torch
from torch import fx

from gristmill.incremental.graph.call import Call, NoRuleError
from gristmill.incremental.graph.operators.bilinear import BilinearUpsampling
from gristmill.incremental.graph.operators.gathering import NearestUpsampling
from gristmill.incremental.graph.rules import channels_last, elements, places, shapes, windows
from gristmill.incremental.graph.rules.found import Found, Rule, Same, Turned
from gristmill.incremental.graph.rules.places import BORDERS
from gristmill.incremental.graph.rules.shapes import COPIES, RESHAPES

aten = torch.ops.aten

_SPLITS = frozenset({aten.split.Tensor, aten.split_with_sizes.default, aten.chunk.default})

_FIRST_OF: dict[Any, Rule] = {
    aten._native_batch_norm_legit_no_training.default: windows.batch_norm,
    aten.max_pool2d_with_indices.default: windows.max_pooling,
    aten.adaptive_max_pool2d.default: windows.adaptive_pooling("max"),
}

_POINTWISE = (
    aten.abs.default, aten.neg.default, aten.square.default, aten.exp.default, aten.log.default,
    aten.sqrt.default, aten.rsqrt.default, aten.reciprocal.default, aten.sign.default,
    aten.elu.default, aten.celu.default, aten.selu.default, aten.softplus.default,
    aten.mish.default, aten.pow.Tensor_Scalar, aten.threshold.default, aten.softshrink.default,
    aten.hardshrink.default, aten.sin.default, aten.cos.default,
    aten.clamp_min.default, aten.clamp_max.default, aten.erf.default, aten.log_sigmoid.default,
)  # fmt: skip

_FUNCTIONS: dict[Any, Rule] = {
    aten.relu.default: elements.activation("relu"),
    aten.relu6.default: elements.relu6,
    aten.hardtanh.default: elements.activation("hardtanh", "min_val", "max_val"),
    aten.clamp.default: elements.clamp,
    aten.leaky_relu.default: elements.activation("leaky_relu", "negative_slope"),
    aten.silu.default: elements.activation("swish"),
    aten.gelu.default: elements.gelu,
    aten.hardswish.default: elements.activation("hardswish"),
    aten.hardsigmoid.default: elements.activation("hardsigmoid"),
    aten.sigmoid.default: elements.activation("sigmoid"),
    aten.tanh.default: elements.activation("tanh"),
    **dict.fromkeys(_POINTWISE, elements.pointwise),
}
"""Rules of functions of every element."""

RULES: dict[Any, Rule] = {
    **_FUNCTIONS,
    aten.conv2d.default: windows.convolution,
    aten.conv2d.padding: windows.convolution,
    aten.convolution.default: windows.convolution,
    aten.conv_transpose2d.input: windows.transposed_convolution,
    aten.batch_norm.default: windows.batch_norm,
    aten.prelu.default: elements.prelu,
    aten.softmax.int: elements.softmax,
    aten.log_softmax.int: elements.softmax,
    aten._softmax.default: elements.softmax,
    aten._log_softmax.default: elements.softmax,
    aten.add.Tensor: elements.arithmetic(torch.add),
    aten.sub.Tensor: elements.arithmetic(torch.sub),
    aten.mul.Tensor: elements.arithmetic(torch.mul),
    aten.div.Tensor: elements.arithmetic(torch.div),
    aten.add.Scalar: elements.arithmetic(torch.add),
    aten.sub.Scalar: elements.arithmetic(torch.sub),
    aten.mul.Scalar: elements.arithmetic(torch.mul),
    aten.div.Scalar: elements.arithmetic(torch.div),
    aten.maximum.default: elements.arithmetic(torch.maximum),
    aten.minimum.default: elements.arithmetic(torch.minimum),
    aten.rsub.Scalar: elements.reversed_difference,
    aten.max_pool2d.default: windows.max_pooling,
    aten.avg_pool2d.default: windows.average_pooling,
    aten.adaptive_avg_pool2d.default: windows.adaptive_pooling("mean"),
    aten._adaptive_avg_pool2d.default: windows.adaptive_pooling("mean"),
    aten.mean.dim: windows.reduction("mean"),
    aten.sum.dim_IntList: windows.channel_sum,
    aten.amax.default: windows.reduction("max"),
    aten.upsample_nearest2d.vec: places.upsampling(NearestUpsampling),
    aten._upsample_nearest_exact2d.vec: places.upsampling(
        partial(NearestUpsampling, mode="nearest-exact")
    ),
    aten.upsample_bilinear2d.vec: places.upsampling(BilinearUpsampling, "align_corners"),
    aten.cat.default: places.concatenation,
    aten.slice.Tensor: places.taken,
    aten.pad.default: places.border,
    **dict.fromkeys(BORDERS, places.border),
    aten.pixel_shuffle.default: places.pixel_shuffle,
    aten.pixel_unshuffle.default: places.pixel_unshuffle,
    aten.channel_shuffle.default: places.channel_shuffle,
    aten.native_channel_shuffle.default: places.channel_shuffle,
    aten.linear.default: shapes.product,
    **dict.fromkeys((*COPIES, aten.detach.default, aten.dropout.default), shapes.unchanged),
    aten._to_copy.default: shapes.unchanged,
    aten.lift_fresh_copy.default: shapes.unchanged,
    **dict.fromkeys(RESHAPES, shapes.reshaped),
    aten.flatten.using_ints: shapes.reshaped,
    aten.squeeze.dims: shapes.reshaped,
    aten.unsqueeze.default: shapes.reshaped,
    aten.permute.default: channels_last.turned,
}
"""Rule of each operator; it raises `NoRuleError` where the call at hand is none that it knows."""

OF_TURNED = channels_last.channels_last(_FUNCTIONS)
"""Rule of each operator where the program has its maps with their channels last."""


def rule_for(node: fx.Node, of_turned: bool) -> Rule | None:
    """The rule of a call, None where there is none.

    Args:
        node: the call.
        of_turned: whether it reads a map with its channels last.
    """
    if node.target is python_operator.getitem:
        return None
    return (OF_TURNED if of_turned else RULES).get(node.target)


def item(node: fx.Node, call: Call, of_turned: bool) -> Found | Same | Turned:
    """One of several results.

    Args:
        node: takes it out.
        call: has the several results.
        of_turned: whether it reads a map with its channels last.

    Raises:
        NoRuleError: nothing is known of such a call.
    """
    target = call.node.target
    if target in _SPLITS and not of_turned:
        return places.split(node, call)
    rule = (OF_TURNED if of_turned else _FIRST_OF).get(target)
    if node.args[1] != 0 or rule is None:
        raise NoRuleError
    return rule(call)
