"""Rules of calls that move pixels or channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from gristmill.incremental.graph.call import Call, NoRuleError, sizes
from gristmill.incremental.graph.operator import Operator
from gristmill.incremental.graph.operators.channels import ChannelShuffle, ChannelSlice
from gristmill.incremental.graph.operators.concatenation import Concatenation
from gristmill.incremental.graph.operators.gathering import Bordering, Cropping
from gristmill.incremental.graph.operators.pixel_shuffle import PixelShuffle, PixelUnshuffle
from gristmill.incremental.graph.rules.found import Found, Rule

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


def taken(call: Call) -> Found:
    """Channels, rows or columns from a first to a last."""
    source = call.source("self")
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
    sides = call.ints("padding" if call.get("padding", None) else "pad", 4)
    mode = call.get("mode", None) or BORDERS[call.node.target]
    fill = call.get("value", None) or 0.0
    left, right, top, bottom = sides
    return Found(Bordering((left, right, top, bottom), mode, float(fill)), (call.map("self"),))


def pixel_shuffle(call: Call) -> Found:
    """Channels to pixels."""
    return Found(PixelShuffle(call["upscale_factor"]), (call.map("self"),))


def pixel_unshuffle(call: Call) -> Found:
    """Pixels to channels."""
    return Found(PixelUnshuffle(call["downscale_factor"]), (call.map("self"),))


def channel_shuffle(call: Call) -> Found:
    """Channels dealt to groups."""
    return Found(ChannelShuffle(call["groups"]), (call.map("self"),))
