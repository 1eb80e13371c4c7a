"""Rules of calls that pass a value on, lay it out anew, or multiply it by a matrix."""

from __future__ import annotations

import torch
from torch import fx

from gristmill.incremental.graph.call import Call, NoRuleError, sizes
from gristmill.incremental.graph.operators.channels import ChannelShuffle
from gristmill.incremental.graph.operators.linear import Flatten, Linear, Unflatten
from gristmill.incremental.graph.operators.pixel_shuffle import PixelShuffle, PixelUnshuffle
from gristmill.incremental.graph.rules.found import Found, Same

aten = torch.ops.aten

COPIES = frozenset({aten.clone.default, aten.contiguous.default, aten.alias.default})
"""Calls that copy, or hand on, what they are given."""

RESHAPES = frozenset({aten.view.default, aten.reshape.default, aten._unsafe_view.default})
"""Calls that lay the same numbers out as another shape."""

_LAYOUTS = RESHAPES | {aten.unsqueeze.default}


def product(call: Call) -> Found:
    """A matrix times a vector."""
    operator = Linear(call.constant("weight"), call.optional("bias"))
    return Found(operator, (call.number(call.source("input"), (2,)),))


def unchanged(call: Call) -> Same:
    """A copy, a cast to the same type, dropout in evaluation."""
    if call.get("train", False):
        raise NoRuleError
    source = call.source("input" if call.get("input", None) is not None else "self")
    if sizes(source) != call.sizes or source.meta["val"].dtype != call.node.meta["val"].dtype:
        raise NoRuleError
    return Same(call.number(source))


def reshaped(call: Call) -> Found | Same:
    """A map as a vector, a vector as a map of one pixel, or channels dealt to groups."""
    source = call.source("self")
    shape = call.sizes
    if shape == sizes(source):
        return Same(call.number(source))
    if len(shape) == 2 and shape[0] == 1 and len(sizes(source)) == 4:
        return Found(Flatten(), (call.number(source, (4,)),))
    if len(shape) == 4 and len(sizes(source)) == 5:
        return _dealt(call, source)
    if len(shape) == 4 and len(sizes(source)) == 6:
        return _squares(call, source)
    if len(shape) == 4 and shape[2:] == (1, 1):
        while source.target in _LAYOUTS and len(sizes(source)) == 3:
            source = _first(source)
        return Found(Unflatten(), (call.number(source, (2,)),))
    raise NoRuleError


def _dealt(call: Call, source: fx.Node) -> Found:
    """Channels as [groups, rest], turned round, and back."""
    while source.target in COPIES:
        source = _first(source)
    turned = source.target in (aten.transpose.int, aten.permute.default)
    if not turned or list(source.args[1:]) not in ([1, 2], [2, 1], [[0, 2, 1, 3, 4]]):
        raise NoRuleError
    grouped = _first(source)
    origin = _first(grouped)
    if grouped.target not in RESHAPES or len(sizes(origin)) != 4:
        raise NoRuleError
    groups = sizes(grouped)[1]
    if sizes(grouped)[3:] != sizes(origin)[2:] or sizes(origin) != call.sizes:
        raise NoRuleError
    return Found(ChannelShuffle(groups), (call.number(origin, (4,)),))


def _squares(call: Call, source: fx.Node) -> Found:
    """Pixels made squares of pixels by their channels, or squares made channels of one pixel."""
    while source.target in COPIES:
        source = _first(source)
    if source.target is not aten.permute.default:
        raise NoRuleError
    order, grouped = list(source.args[1]), _first(source)  # type: ignore[arg-type]
    origin, parts = _first(grouped), sizes(grouped)
    if grouped.target not in RESHAPES or len(sizes(origin)) != 4:
        raise NoRuleError
    factor, (_, channels, height, width) = parts[3], sizes(origin)
    operator: PixelShuffle | PixelUnshuffle
    if order == [0, 1, 4, 2, 5, 3]:
        expected = (1, channels // factor**2, factor, factor, height, width)
        made = (1, channels // factor**2, height * factor, width * factor)
        operator = PixelShuffle(factor)
    else:
        made = (1, channels * factor**2, height // factor, width // factor)
        expected = (1, channels, made[2], factor, made[3], factor)
        operator = PixelUnshuffle(factor)
    right = order in ([0, 1, 4, 2, 5, 3], [0, 1, 3, 5, 2, 4])
    if not right or type(factor) is not int or (parts, call.sizes) != (expected, made):
        raise NoRuleError
    return Found(operator, (call.number(origin, (4,)),))


def _first(node: fx.Node) -> fx.Node:
    found = node.args[0]
    if not isinstance(found, fx.Node):
        raise NoRuleError
    return found
