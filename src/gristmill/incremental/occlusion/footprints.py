"""How far a covered part of the frame is seen, value by value, along one axis.

Rows and columns are apart for every operator, so a rectangle's footprint is that of its rows and
that of its columns: a grid of positions has as many of each as it has lines, not as many as it has
positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.regions.rectangle import Rectangle

Axis: TypeAlias = Literal[0, 1]
"""Rows, or columns."""

Intervals: TypeAlias = NDArray[np.int64]
"""[nodes + 1, 2]: first pixel and the one after the last, of each node's value; the last entry is
of the frame. Both 0 where nothing is reached."""


def footprints(
    graph: Graph, shapes: Sequence[Shape], begin: int, end: int, axis: Axis, keep: float = 1.0
) -> Intervals:
    """Return what a change of the frame's rows or columns [begin, end) can reach.

    Args:
        graph: the network.
        shapes: of all nodes' values, and of the frame behind them.
        begin: the first row or column that changes.
        end: the one after the last.
        axis: 0 for rows, 1 for columns.
        keep: the largest share of a map's rows or columns that counts as reached. Where more are,
            those farthest from the middle of what changes are left out (the projective field
            threshold of Nakandala et al. 2019), and all that is made of them is an approximation.
            1: none are.
    """
    found = np.zeros((len(graph.nodes) + 1, 2), np.int64)
    found[-1] = begin, end
    middle = (begin + end) / 2 / extent(shapes[-1])[axis]
    for number, node in enumerate(graph.nodes):
        sources = [shapes[source] for source in node.inputs]
        reach = [
            _span(node.operator.altered(_strip(found[source], shape, axis), which, sources), axis)
            for which, (source, shape) in enumerate(zip(node.inputs, sources, strict=True))
            if found[source, 0] < found[source, 1]
        ]
        reach = [each for each in reach if each[0] < each[1]]
        if not reach:
            continue
        low, high = min(each[0] for each in reach), max(each[1] for each in reach)
        if node.operator.local:
            low, high = _limited(low, high, middle, extent(shapes[number])[axis], keep)
        found[number] = low, high
    return found


def _strip(interval: Intervals, shape: Shape, axis: Axis) -> Rectangle:
    """The rows (or columns) of an interval, all along the other axis."""
    height, width = extent(shape)
    begin, end = int(interval[0]), int(interval[1])
    return Rectangle(begin, 0, end, width) if axis == 0 else Rectangle(0, begin, height, end)


def _span(region: Rectangle, axis: Axis) -> tuple[int, int]:
    return (region.top, region.bottom) if axis == 0 else (region.left, region.right)


def _limited(low: int, high: int, middle: float, length: int, keep: float) -> tuple[int, int]:
    """The part of an interval that is at most a share of a map long, around a place in the map.

    Args:
        low: the first pixel.
        high: the one after the last.
        middle: as a share of the map; what lies at its edge reaches farther on one side only.
        length: of the map.
        keep: the share.
    """
    most = max(1, round(keep * length))
    if high - low <= most:
        return low, high
    begin = round(middle * length - most / 2)
    inner = max(low, begin), min(high, begin + most)
    return inner if inner[0] < inner[1] else (low, low + most)
