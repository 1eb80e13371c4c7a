"""Rules of calls that move pixels or channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import fx

from gristmill.incremental.graph.call import Call, NoRuleError, sizes
from gristmill.incremental.graph.node import FRAME
from gristmill.incremental.graph.operator import Operator
from gristmill.incremental.graph.operators.channels import ChannelShuffle, ChannelSlice
from gristmill.incremental.graph.operators.concatenation import Concatenation
from gristmill.incremental.graph.operators.gathering import Bordering, Cropping, Sides
from gristmill.incremental.graph.operators.pixel_shuffle import PixelShuffle, PixelUnshuffle
from gristmill.incremental.graph.rules.found import Found, Rule, Same

aten = torch.ops.aten

BORDERS: dict[Any, str] = {
    aten.constant_pad_nd.default: "constant",
    aten.reflection_pad2d.default: "reflect",
    aten.replication_pad2d.default: "replicate",
}
"""Mode of the calls that have one each."""

_END = 2**63 - 1


def upsampling(make: Callable[..., Operator], *options: str) -> Rule:
    """Up-sampling by factors, to a size, or to the size of another map."""

    def rule(call: Call) -> Found:
        given = {name: call[name] for name in options}
        source = call.map("input")
        factors = call["scale_factors"]
        if factors is not None:
            scale = (float(factors[0]), float(factors[1]))
            return Found(make(scale=scale, **given), (source,))
        if all(type(each) is int for each in call["output_size"]):
            return Found(make(size=call.pair("output_size"), **given), (source,))
        return Found(make(**given), (source, _of_size(call)))

    return rule


def _of_size(call: Call) -> int:
    """The number of the last map before the call that has the height and width of its result."""
    nodes = list(call.node.graph.nodes)
    for node in reversed(nodes[: nodes.index(call.node)]):
        try:
            if sizes(node)[2:] == call.sizes[2:]:
                return call.number(node, (4,))
        except NoRuleError:
            continue
    raise NoRuleError


def concatenation(call: Call) -> Found:
    """Maps joined along their channels."""
    ranks = {len(sizes(each)) for each in call["tensors"]}
    if len(ranks) != 1 or call["dim"] % ranks.pop() != 1:
        raise NoRuleError
    return Found(Concatenation(), tuple(call.number(each) for each in call["tensors"]))


def taken(call: Call) -> Found | Same:
    """Channels, rows or columns from a first to a last."""
    source = call.source("self")
    if call.sizes == sizes(source) and call["step"] == 1:
        return Same(call.number(source))
    axis = call["dim"] % len(sizes(source))
    first, last, step = call["start"] or 0, call["end"], call["step"]
    if not all(type(each) is int for each in (first, step)) or axis == 0:
        raise NoRuleError
    if last is not None and type(last) is not int:
        raise NoRuleError
    if axis == 1:
        channels = sizes(source)[1]
        if type(channels) is not int:
            raise NoRuleError
        return _channels(call, slice(*slice(first, last, step).indices(channels)))
    kept = slice(first, None if last == _END else last, step)
    every = slice(None)
    rows, columns = (kept, every) if axis == 2 else (every, kept)
    return Found(Cropping(rows, columns), (call.map("self"),))


def _channels(call: Call, kept: slice) -> Found:
    number = call.number(call.source("self"))
    return Found(ChannelSlice(kept.start, kept.stop, kept.step or 1), (number,))


def split(node: fx.Node, call: Call) -> Found:
    """One of several groups of channels.

    Args:
        node: takes it out.
        call: has them all.
    """
    number = node.args[1]
    source = call.source("self")
    if not isinstance(number, int) or call["dim"] % len(sizes(source)) != 1:
        raise NoRuleError
    widths = [part.shape[1] for part in call.node.meta["val"]]
    begin = sum(widths[:number])
    return _channels(call, slice(begin, begin + widths[number]))


def border(call: Call) -> Found:
    """A border around a map."""
    given = call["padding" if call.get("padding", None) else "pad"]
    mode = call.get("mode", None) or BORDERS[call.node.target]
    fill = float(call.get("value", None) or 0.0)
    if len(given) not in (2, 4):
        raise NoRuleError
    given = [*given, 0, 0][:4]
    source = call.map("self")
    if all(type(each) is int for each in given):
        left, right, top, bottom = given
        return Found(Bordering((left, right, top, bottom), mode, fill), (source,))
    return Found(Bordering(_SidesBySize(call, given), mode, fill), (source, FRAME))


class _SidesBySize:
    """Says how wide a border is around a map of a frame of some height and width.

    Args:
        call: of the program, whose frame's height and width are symbols.
        sides: numbers, or nodes of the program that compute one from these.

    Raises:
        NoRuleError: they depend on something else.
    """

    def __init__(self, call: Call, sides: Sequence[int | fx.Node]) -> None:
        frame = next(each for each in call.node.graph.nodes if _has_free_size(each))
        self._axes = [
            axis.node.expr if isinstance(axis, torch.SymInt) else None for axis in sizes(frame)[2:]
        ]
        self._sides = [_expression(side) for side in sides]
        free = [side.free_symbols for side in self._sides if not isinstance(side, int)]
        if not set().union(*free) <= set(self._axes):
            raise NoRuleError
        self._at = lru_cache(maxsize=64)(self._computed)

    def __call__(self, height: int, width: int) -> Sides:
        return self._at(height, width)

    def _computed(self, height: int, width: int) -> Sides:
        values = dict(zip(self._axes, (height, width), strict=True))
        values.pop(None, None)  # an axis that is not free
        left, right, top, bottom = (
            side if isinstance(side, int) else int(side.subs(values)) for side in self._sides
        )
        return left, right, top, bottom


def _has_free_size(node: fx.Node) -> bool:
    found = node.meta.get("val")
    shape = found.shape if isinstance(found, torch.Tensor) else ()
    return node.op == "placeholder" and any(isinstance(axis, torch.SymInt) for axis in shape)


def _expression(side: int | fx.Node) -> Any:
    """A whole number, or an expression of SymPy."""
    found = side.meta.get("val") if isinstance(side, fx.Node) else side
    if not isinstance(found, (int, torch.SymInt)):
        raise NoRuleError
    return found if isinstance(found, int) else found.node.expr


def pixel_shuffle(call: Call) -> Found:
    """Channels to pixels."""
    return Found(PixelShuffle(call["upscale_factor"]), (call.map("self"),))


def pixel_unshuffle(call: Call) -> Found:
    """Pixels to channels."""
    return Found(PixelUnshuffle(call["downscale_factor"]), (call.map("self"),))


def channel_shuffle(call: Call) -> Found:
    """Channels dealt to groups."""
    return Found(ChannelShuffle(call["groups"]), (call.map("self"),))
