"""A graph divided into units: what is computed together, and hence what is kept."""

from __future__ import annotations

from math import prod

from gristmill.incremental.execution.division import Division
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Shape

HALO = 1.2
WIDE = 1.5
STATE = 0.6
"""What a stream may keep, over all values together."""


def partition(
    graph: Graph,
    input_shape: Shape | None = None,
    *,
    exact: bool = True,
    halo: float = HALO,
    wide: float = WIDE,
    state: float | None = None,
) -> tuple[Unit, ...]:
    """Divide a graph into units, in the order in which they run.

    A node joins the unit of its reader if that is the only one and takes little more of it than
    its share: what a rectangle of the unit's root needs, over what the node's map has for as large
    a part of the frame, stays within `halo`. Element-wise operators, 1x1 convolutions, pooling and
    strided convolutions take in what is before them; 3x3 convolutions do not. So what a residual
    block adds up, and what is pooled, is not kept. Beyond that, up to `wide`, a node joins whose
    values are computed sooner once more than they are written and read: the wide maps between the
    convolutions of a MobileNet.

    A convolution by tiles is a unit of its own, with the sum or the pooling that is computed along
    with it, and at most one value that it reads and that costs less to compute anew than to keep.

    Where more would be kept than a stream may hold (`state`), further nodes join, those first that
    are recomputed with the fewest operations for each byte: enlarged maps, every other one of a row
    of 3x3 convolutions.

    Args:
        graph: the network.
        input_shape: (channels, height, width) of the frames; that of the capture by default.
        exact: whether results must equal those of the whole run bit for bit. Operators that
            cannot promise that by rectangles are then computed in full wherever they are reached.
        halo: how many times its share any node may have to be computed.
        wide: how many times a node may that is cheaper to compute than to keep. With both 0, every
            node is left alone.
        state: what may be kept, the frame included, over all values together; None: anything. Where
            that cannot be had, it is as if nothing had been asked for.

    Raises:
        UsageError: the network can't take frames of that shape.
    """
    frame = tuple(graph.input_shape if input_shape is None else input_shape)
    shapes = [*graph.shapes(frame), frame]
    regional = [
        node.operator.local
        and (node.operator.exact or not exact)
        and all(len(shapes[s]) == 3 for s in (number, *node.inputs))
        for number, node in enumerate(graph.nodes)
    ]
    division = Division(graph, shapes, regional, halo, wide)
    if state is not None:
        division = _within(division, 4 * state * sum(map(prod, shapes[:-1])))
    return tuple(
        Unit(graph, nodes, shapes, regional=regional[nodes[-1]]) for nodes in division.trees()
    )


def _within(division: Division, most: float) -> Division:
    """A division that keeps at most so many bytes; the given one, if there is none."""
    found, forced = division, list[int]()
    while found.kept > most:
        if not found.prices:
            return division
        forced.append(min(found.prices, key=lambda number: found.prices[number]))
        found = found.joining(frozenset(forced))
    for number in reversed(forced):  # the last ones may have made others needless
        fewer = found.joining(found.forced - {number})
        if fewer.kept <= most:
            found = fewer
    return found
