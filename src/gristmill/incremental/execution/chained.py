"""Units that are convolutions and poolings one after the other: computed in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from torch import Tensor

from gristmill.incremental.graph.node import Graph, Node
from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.graph.operators.arithmetic import Arithmetic
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.graph.operators.pooling import MaxPooling
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.native.chain import MOST_LINKS, Chain, Link
from gristmill.incremental.kernels.native.convolution import is_bounds
from gristmill.incremental.kernels.native.pooling import NativePooling
from gristmill.incremental.regions.rectangle import Rectangle


class ChainedUnit(NamedTuple):
    """Links of which each reads the one before it, and what is added to the last.

    Args:
        chain: the links.
        source: number of the value that the first one reads.
        added: number of the value that is added to the results; None where nothing is.
    """

    chain: Chain
    source: int
    added: int | None

    def write(
        self,
        rectangles: Sequence[Rectangle],
        values: Sequence[Tensor | None],
        result: Tensor,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """Compute rectangles of the unit's value.

        Args:
            rectangles: of the value, none of them empty.
            values: kept ones.
            result: the value, or a part of it that holds the rectangles; written.
            origin: row and column of the value where the part begins.
        """
        added = None if self.added is None else values[self.added]
        source = cast(Tensor, values[self.source])
        self.chain.write(rectangles, source, result, added=added, origin=origin)


def chained(graph: Graph, nodes: Sequence[int], shapes: Sequence[Shape]) -> ChainedUnit | None:
    """Return a unit's nodes as a chain; None where they are none.

    Args:
        graph: the network.
        nodes: numbers of the unit's nodes in the order in which they run.
        shapes: of all nodes' values, and of the frame behind them.
    """
    members = [graph.nodes[number] for number in nodes]
    added, after = None, None
    if isinstance(members[-1].operator, Arithmetic) and len(nodes) > 1:
        added = added_to(members[-1], nodes[-2], shapes)
        if added is None:
            return None
        after = members[-1].operator.activation
        nodes, members = nodes[:-1], members[:-1]
    links = []
    for place, (number, node) in enumerate(zip(nodes, members, strict=True)):
        link = _link(node, shapes[number])
        if link is None or (place and node.inputs != (nodes[place - 1],)):
            return None
        links.append(link)
    if all(isinstance(link.convolution, NativePooling) for link in links):
        return None  # nobody says that it reads floats, or that there are kernels in C
    if len(links) > MOST_LINKS:
        return None
    if added is not None and (added in nodes or not links[-1].convolution.adds):
        return None
    return ChainedUnit(Chain(links, after), members[0].inputs[0], added)


def _link(node: Node, shape: Shape) -> Link | None:
    operator = node.operator
    if isinstance(operator, MaxPooling):
        rows, columns = operator.rows, operator.columns
        if max(rows.dilation, columns.dilation) > 1:
            return None
        pooling = NativePooling(shape[0], rows, columns)
        return Link(pooling, (rows.padding, columns.padding), extent(shape))
    if not isinstance(operator, Convolution) or operator.tiled is not None:
        return None
    if not isinstance(operator.kernel, DirectKernel):
        return None
    padding = operator.padding.top, operator.padding.left
    return Link(operator.kernel.convolution, padding, extent(shape))


def added_to(node: Node, before: int, shapes: Sequence[Shape]) -> int | None:
    """Number of the value that a node adds to the one before it; None where it does not."""
    operator = cast(Arithmetic, node.operator)
    if not operator.is_sum or before not in node.inputs or len(node.inputs) != 2:
        return None
    one, other = node.inputs
    added = other if one == before else one
    if added == before or shapes[added] != shapes[before]:
        return None
    return added if operator.activation is None or is_bounds(operator.activation) else None
