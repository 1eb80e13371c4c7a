"""Which nodes of a graph are computed together with their one reader."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from gristmill.incremental.execution.tiled_unit import before_pooling, ended, tiled
from gristmill.incremental.execution.unit import joins
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.regions.rectangle import Rectangle

_WORTH = 8.0
"""Floating-point operations that take as long as moving a byte to memory or from it."""
_MOST = 2.5
"""How many times its share no node is computed, however little may be kept."""
_PROBE = 16


class Division:
    """Nodes that join the unit of their one reader, and what is kept of all.

    Args:
        graph: the network.
        shapes: of all nodes' values, and of the frame behind them.
        regional: of each node, whether it may be computed by rectangles.
        halo: how many times its share any node may have to be computed.
        wide: how many times a node may that is cheaper to compute than to keep.
        forced: numbers of nodes that join though they cost more than to keep.

    Attributes:
        forced: those.
        prices: of each node that could join but costs more: operations for each byte of it.
    """

    def __init__(
        self,
        graph: Graph,
        shapes: Sequence[Shape],
        regional: Sequence[bool],
        halo: float,
        wide: float,
        forced: frozenset[int] = frozenset(),
    ) -> None:
        self._graph, self._shapes, self._regional = graph, shapes, regional
        self._halo, self._wide, self.forced = halo, wide, forced
        numbers = range(len(graph.nodes))
        self._ends = {n: ended(graph, n, shapes) for n in numbers if regional[n]}
        self._beginnings = {begin: end for end, begin in self._ends.items() if begin is not None}
        self._parents: list[int | None] = [None] * len(graph.nodes)
        self._shares = [1.0] * len(graph.nodes)  # of each: computed over its share, if in a unit
        self._anew = set[int]()  # roots by tiles that have a value which is computed anew, and it
        self.prices: dict[int, float] = {}
        for number in reversed(numbers):
            parent = _only_reader(graph, number)
            if parent is not None and regional[number] and regional[parent]:
                self._settle(number, parent)

    @property
    def kept(self) -> int:
        """Bytes that a stream keeps: the roots' values, its frame as numbers and as a picture."""
        roots = (n for n, parent in enumerate(self._parents) if parent is None)
        return 4 * sum(prod(self._shapes[n]) for n in roots) + 5 * prod(self._shapes[-1])

    def joining(self, forced: frozenset[int]) -> Division:
        """The same with other nodes that join though they cost more than to keep."""
        return Division(self._graph, self._shapes, self._regional, self._halo, self._wide, forced)

    def trees(self) -> list[tuple[int, ...]]:
        """Numbers of the nodes of each unit, in the order in which they run."""
        roots = list(range(len(self._parents)))
        for number in reversed(roots):
            parent = self._parents[number]
            if parent is not None:
                roots[number] = roots[parent]
        members: dict[int, list[int]] = {}
        for number, root in enumerate(roots):
            members.setdefault(root, []).append(number)
        return [tuple(members[root]) for root in sorted(members)]

    def _settle(self, number: int, parent: int) -> None:
        if self._ends[parent] == number:
            self._parents[number] = parent
            return
        by_tiles = self._by_tiles(parent)
        share = self._anew_share(number, parent) if by_tiles else self._share(number, parent)
        if share is None:
            return
        flops = self._flops(number)
        extra = (share - 1.0) * flops
        free = share <= self._halo or (share <= self._wide and self._cheap(number, extra))
        alone = self._by_tiles(number) or not joins(self._graph.nodes[number].operator)
        if (free and not alone) or number in self.forced:
            self._parents[number], self._shares[number] = parent, share
            if by_tiles:
                self._anew |= {self._beginnings.get(parent, parent), number}
        elif share <= _MOST:
            self.prices[number] = extra / prod(self._shapes[number])

    def _by_tiles(self, number: int) -> bool:
        return tiled(self._graph, number) or self._ends[number] is not None

    def _anew_share(self, number: int, parent: int) -> float | None:
        """How much of a value tiles take, or of what is added to them; None if it must be kept."""
        root = self._beginnings.get(parent, parent)
        if root in self._anew:
            return None
        operator = self._graph.nodes[parent].operator
        tiles = taken = _probe(self._shapes[parent])
        if isinstance(operator, Convolution):
            tiles = operator.tiles_around(taken, self._shapes[number])
            (taken,) = operator.needed(tiles, [self._shapes[number]])
        share = taken.area / tiles.area
        if self._by_tiles(number):
            share *= self._tiles_over(number, taken)
        return share

    def _tiles_over(self, number: int, region: Rectangle) -> float:
        """What tiles make of a value for a region of it, over that region."""
        begin = self._ends[number]
        convolution = number if begin is None else begin
        operator = cast(Convolution, self._graph.nodes[convolution].operator)
        if self._shapes[number] != self._shapes[convolution]:  # pooled
            region = before_pooling(region)
        (source,) = self._graph.nodes[convolution].inputs
        return operator.tiles_around(region, self._shapes[source]).area / region.area

    def _share(self, number: int, parent: int) -> float | None:
        """How much of a node a rectangle of its reader's unit takes; None if it must be kept.

        Over the same part of the node's map.
        """
        if self._by_tiles(number) or not joins(self._graph.nodes[parent].operator):
            return None
        if self._narrow(number, parent):
            return None
        region = _probe(self._shapes[parent])
        node = self._graph.nodes[parent]
        needs = node.operator.needed(region, self._read_by(parent))
        taken = max(n.area for s, n in zip(node.inputs, needs, strict=True) if s == number)
        height, width = extent(self._shapes[parent])
        own_height, own_width = extent(self._shapes[number])
        fair = region.area * (own_height * own_width) / (height * width)
        return self._shares[parent] * (taken / fair if fair else 1.0)

    def _narrow(self, number: int, parent: int) -> bool:
        """Whether a node's value is less than what a convolution in C makes of it.

        It costs little to keep, and chains begin there: the wide maps in them are never whole.
        """
        operator = self._graph.nodes[parent].operator
        direct = isinstance(operator, Convolution) and isinstance(operator.kernel, DirectKernel)
        return direct and prod(self._shapes[number]) < prod(self._shapes[parent])

    def _cheap(self, number: int, extra: float) -> bool:
        """Whether what a node computes more often costs less than to keep its map would.

        Never of a node that reads more than it makes: then that would be kept in its place.

        Args:
            number: of the node.
            extra: operations that it computes more often.
        """
        made = prod(self._shapes[number])
        if made < sum(map(prod, self._read_by(number))):
            return False
        return extra <= _WORTH * 2 * 4 * made  # written and read, float32

    def _flops(self, number: int) -> int:
        """Operations of a node's whole value, and of the convolution by tiles that it ends."""
        everything = Rectangle.whole(*extent(self._shapes[number]))
        found = self._graph.nodes[number].operator.flops(everything, self._read_by(number))
        begin = self._ends[number]
        return found if begin is None else found + self._flops(begin)

    def _read_by(self, number: int) -> list[Shape]:
        return [self._shapes[source] for source in self._graph.nodes[number].inputs]


def _only_reader(graph: Graph, number: int) -> int | None:
    readers = graph.readers[number]
    return readers[0] if len(readers) == 1 and number not in graph.outputs else None


def _probe(shape: Shape) -> Rectangle:
    """A rectangle in the middle of a map."""
    height, width = extent(shape)
    # Half a small map at most: of a whole one, every operator needs just its share.
    tall, wide = min(_PROBE, -(-height // 2)), min(_PROBE, -(-width // 2))
    top, left = (height - tall) // 2, (width - wide) // 2
    return Rectangle(top, left, top + tall, left + wide)
