"""Rules of calls on maps that a program has laid out with their channels last.

A pixel's channels are normalized, or multiplied by a matrix, where `LayerNorm` and `Linear` find
them: in the last dimension. Programs turn maps round for that, and back. The graph's maps stay as
they are; here is what such calls mean for them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.graph.call import Call, NoRuleError
from gristmill.incremental.graph.operators.convolution import Convolution, Padding
from gristmill.incremental.graph.operators.per_pixel import PerPixel
from gristmill.incremental.graph.rules import elements, shapes
from gristmill.incremental.graph.rules.found import Found, Rule, Same, Turned
from gristmill.incremental.kernels.layer import Layer

aten = torch.ops.aten

LAST = [0, 2, 3, 1]
"""Dimensions of a map in the order that has its channels last."""
_FIRST = [0, 3, 1, 2]


def turned(call: Call) -> Turned:
    """A map as it is, read with its channels last."""
    if list(call["dims"]) != LAST:
        raise NoRuleError
    return Turned(Same(call.map("self")))


def turned_back(call: Call) -> Same:
    """A map as it is, read with its channels first again."""
    if list(call["dims"]) != _FIRST:
        raise NoRuleError
    return Same(call.map("self"))


def _layer_norm(call: Call) -> Found:
    """Normalization over the channels of each pixel."""
    shape, epsilon = tuple(call["normalized_shape"]), call["eps"]
    if len(shape) != 1:
        raise NoRuleError
    weight, bias = call.optional("weight"), call.optional("bias")

    def normalized(rows: Tensor) -> Tensor:
        return functional.layer_norm(rows, shape, weight, bias, epsilon)

    return Found(PerPixel("layer norm", normalized), (call.map("input"),))


def _product(call: Call) -> Found:
    """A matrix times the channels of each pixel: a convolution of windows of one pixel."""
    layer = Layer(call.constant("weight")[:, :, None, None], call.optional("bias"))
    return Found(Convolution(layer, Padding()), (call.map("input"),))


def _softmax(call: Call) -> Found:
    return elements.softmax(call, axis=3)


def _operand(call: Call, name: str) -> Tensor:
    """A constant operand, the same for every pixel."""
    found = elements.number_or_tensor(call, name)
    if found.numel() == 1:
        return found.reshape(())
    if found.dim() > 4 or found.numel() != found.shape[-1]:
        raise NoRuleError
    return found.reshape(1, -1, 1, 1)


def channels_last(functions: dict[Any, Rule]) -> dict[Any, Rule]:
    """Rules of calls on maps whose channels are last, which their results are, too.

    Args:
        functions: rules of calls that treat every element on its own.
    """
    rules: dict[Any, Rule] = {
        **functions,
        **dict.fromkeys(shapes.COPIES, shapes.unchanged),
        aten.detach.default: shapes.unchanged,
        aten.dropout.default: shapes.unchanged,
        aten._to_copy.default: shapes.unchanged,
        aten.layer_norm.default: _layer_norm,
        aten.native_layer_norm.default: _layer_norm,
        aten.linear.default: _product,
        aten.softmax.int: _softmax,
        aten.log_softmax.int: _softmax,
        aten._softmax.default: _softmax,
        aten._log_softmax.default: _softmax,
        aten.add.Tensor: elements.arithmetic(torch.add, _operand),
        aten.sub.Tensor: elements.arithmetic(torch.sub, _operand),
        aten.mul.Tensor: elements.arithmetic(torch.mul, _operand),
        aten.div.Tensor: elements.arithmetic(torch.div, _operand),
    }
    found: dict[Any, Rule] = {target: _still_turned(rule) for target, rule in rules.items()}
    return found | {aten.permute.default: turned_back}


def _still_turned(rule: Rule) -> Rule:
    def of_turned(call: Call) -> Turned:
        found = rule(call)
        if isinstance(found, Turned):
            raise NoRuleError
        return Turned(found)

    return of_turned
