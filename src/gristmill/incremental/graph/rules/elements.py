"""Rules of functions and arithmetic, element by element."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from gristmill.incremental.graph.call import Call, NoRuleError, sizes
from gristmill.incremental.graph.operators.arithmetic import Arithmetic
from gristmill.incremental.graph.operators.per_pixel import PerPixel
from gristmill.incremental.graph.operators.pointwise import Activate, Pointwise
from gristmill.incremental.graph.rules.found import Found, Rule
from gristmill.incremental.kernels.activation import Activation, Kind

EXACT = frozenset(
    {"abs", "neg", "sign", "clamp", "clamp_min", "clamp_max", "square", "sqrt", "reciprocal",
     "threshold", "softshrink", "hardshrink"}
)  # fmt: skip
"""Functions that are rounded once, or not at all: the same bits in a vector and on their own."""
_EXACT_POWERS = (0.5, 2)


def activation(kind: Any, *scalars: str) -> Rule:
    """An activation, with its numbers by their names in the schema."""

    def rule(call: Call) -> Found:
        values = tuple(float(call[name]) for name in scalars)
        activation = Activation(kind, values)
        return Found(Activate(activation), (call.number(call.source("self")),))

    return rule


def relu6(call: Call) -> Found:
    """ReLU6."""
    activation = Activation("hardtanh", (0.0, 6.0))
    return Found(Activate(activation), (call.number(call.source("self")),))


def clamp(call: Call) -> Found:
    """A clamp by numbers."""
    low, high = call["min"], call["max"]
    if low is None or high is None:
        return pointwise(call)
    activation = Activation("hardtanh", (float(low), float(high)))
    return Found(Activate(activation), (call.number(call.source("self")),))


def pointwise(call: Call) -> Found:
    """A function of one tensor and of numbers."""
    function: Any = call.node.target
    rest = call.node.args[1:]
    if any(isinstance(each, fx.Node) for each in (*rest, *call.node.kwargs.values())):
        raise NoRuleError
    kwargs = dict(call.node.kwargs)

    def apply(values: Tensor) -> Tensor:
        found: Tensor = function(values, *rest, **kwargs)
        return found

    name = _name(function)
    exact = name in EXACT or (name == "pow" and rest[0] in _EXACT_POWERS)
    return Found(Pointwise(name, apply, exact), (call.number(call.source("self")),))


def gelu(call: Call) -> Found:
    """GELU, by the error function or by the tangent that comes near it."""
    kind: Kind = "gelu" if call["approximate"] == "none" else "gelu_tanh"
    return Found(Activate(Activation(kind)), (call.number(call.source("self")),))


def prelu(call: Call) -> Found:
    """A slope below zero for each channel."""
    slope = call.constant("weight")
    function = Pointwise("prelu", partial(functional.prelu, weight=slope), exact=True)
    return Found(function, (call.number(call.source("self")),))


def softmax(call: Call, axis: int = 1) -> Found:
    """A softmax, or its logarithm, over the channels of each pixel.

    Args:
        call: of a map.
        axis: the dimension that its channels are.
    """
    if call["dim"] % len(call.sizes) != axis or call.get("dtype", None) is not None:
        raise NoRuleError
    function = functional.log_softmax if "log" in _name(call.node.target) else functional.softmax
    return Found(PerPixel(function.__name__, partial(function, dim=-1)), (call.map("self"),))


def arithmetic(
    function: Callable[[Tensor, Tensor], Tensor],
    operand: Callable[[Call, str], Tensor] | None = None,
) -> Rule:
    """Two operands, one of which may be a constant.

    Args:
        function: combines them.
        operand: gives a constant as the graph's maps need it.
    """
    operand = operand or _operand

    def rule(call: Call) -> Found:
        if call.get("alpha", 1) != 1:
            raise NoRuleError
        name = _name(call.node.target)
        if call.is_constant("other"):
            right = operand(call, "other")
            return Found(
                Arithmetic(name, function, right=right), (call.number(call.source("self")),)
            )
        if call.is_constant("self"):
            left = operand(call, "self")
            return Found(
                Arithmetic(name, function, left=left), (call.number(call.source("other")),)
            )
        inputs = (call.number(call.source("self")), call.number(call.source("other")))
        if len(sizes(call.source("self"))) != len(sizes(call.source("other"))):
            raise NoRuleError
        return Found(Arithmetic(name, function), inputs)

    return rule


def reversed_difference(call: Call) -> Found:
    """A constant less a map."""
    if call["alpha"] != 1 or not call.is_constant("other"):
        raise NoRuleError
    operator = Arithmetic("sub", torch.sub, left=_operand(call, "other"))
    return Found(operator, (call.number(call.source("self")),))


def _operand(call: Call, name: str) -> Tensor:
    """A constant operand, the same for every pixel."""
    found = number_or_tensor(call, name)
    if found.numel() == 1:
        return found.reshape(())
    if found.dim() > 4 or len(call.sizes) != 4 or found.dim() < 3 or found.shape[-2:] != (1, 1):
        raise NoRuleError
    return found.reshape(1, -1, 1, 1)


def number_or_tensor(call: Call, name: str) -> Tensor:
    """A constant argument, float32."""
    given = call[name]
    return call.constant(name) if isinstance(given, fx.Node) else torch.tensor(float(given))


def _name(target: Any) -> str:
    return str(target).split(".")[1]
