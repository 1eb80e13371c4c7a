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
from gristmill.incremental.graph.rules import elements, places, shapes, windows
from gristmill.incremental.graph.rules.found import Found, Rule, Same
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
    aten.sqrt.default, aten.rsqrt.default, aten.reciprocal.default, aten.gelu.default,
    aten.elu.default, aten.softplus.default, aten.mish.default, aten.pow.Tensor_Scalar,
    aten.clamp_min.default, aten.clamp_max.default, aten.erf.default, aten.log_sigmoid.default,
)  # fmt: skip

RULES: dict[Any, Rule] = {
    aten.conv2d.default: windows.convolution,
    aten.conv2d.padding: windows.convolution,
    aten.convolution.default: windows.convolution,
    aten.batch_norm.default: windows.batch_norm,
    aten.relu.default: elements.activation("relu"),
    aten.relu6.default: elements.relu6,
    aten.hardtanh.default: elements.activation("hardtanh", "min_val", "max_val"),
    aten.clamp.default: elements.clamp,
    aten.leaky_relu.default: elements.activation("leaky_relu", "negative_slope"),
    aten.silu.default: elements.activation("swish"),
    aten.hardswish.default: elements.activation("hardswish"),
    aten.hardsigmoid.default: elements.activation("hardsigmoid"),
    aten.sigmoid.default: elements.activation("sigmoid"),
    aten.tanh.default: elements.activation("tanh"),
    **dict.fromkeys(_POINTWISE, elements.pointwise),
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
}
"""Rule of each operator; it raises `NoRuleError` where the call at hand is none that it knows."""


def rule_for(node: fx.Node) -> Rule | None:
    """The rule of a call, None where there is none."""
    if node.target is python_operator.getitem:
        return None
    return RULES.get(node.target)


def item(node: fx.Node, call: Call) -> Found | Same:
    """One of several results.

    Args:
        node: takes it out.
        call: has the several results.

    Raises:
        NoRuleError: nothing is known of such a call.
    """
    target = call.node.target
    if target in _SPLITS:
        return places.split(node, call)
    if node.args[1] != 0 or target not in _FIRST_OF:
        raise NoRuleError
    return _FIRST_OF[target](call)
