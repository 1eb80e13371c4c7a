"""Nodes that are computed together, of which only the last value is kept between frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial, reduce
from math import prod
from typing import NamedTuple, TypeGuard, cast

import torch
from torch import Tensor

from gristmill.incremental.execution.chained import ChainedUnit, chained
from gristmill.incremental.execution.tiled_unit import TiledUnit, tiled_unit
from gristmill.incremental.execution.transient import Transient
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Batched, Operator, Shape, cut, extent
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.graph.operators.windowed import padded_cut
from gristmill.incremental.regions.reach_table import ReachTable
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle
from gristmill.incremental.regions.region_set import RegionSet

_REMEMBERED = 4096


class Part(NamedTuple):
    """Newly computed rectangles of a value.

    Args:
        values: [1, channels, height, width] of a part of the map; outside the rectangles anything.
        rectangles: of the map, all inside the part.
        origin: row and column of the map where the part begins.
    """

    values: Tensor
    rectangles: Sequence[Rectangle]
    origin: tuple[int, int]


class Unit:
    """A tree of nodes with one root: every other node's value is read by its parent alone.

    The inner values are not kept. A rectangle of the root is computed from the whole values that
    the unit reads, and from as much of the inner values as it takes.

    `values` is in all methods the list of the graph's kept values by node number, with the frame
    behind the last node (so that number -1 is the frame).

    Args:
        graph: the network.
        nodes: numbers of the unit's nodes in the order in which they run; the last is the root.
        shapes: of all nodes' values, and of the frame behind them.
        regional: whether it may be computed by rectangles (`partition` decides).

    Attributes:
        root: number of the node whose value is kept.
        sources: numbers of the values it reads from outside, each once.
        shape: of the root's value.
        height, width: of the root's value in pixels; 1 and 1 where it is no map.
        channels: numbers of each of these pixels.
        largest: bytes of the largest value in it, the root's among them.
    """

    def __init__(
        self, graph: Graph, nodes: tuple[int, ...], shapes: Sequence[Shape], *, regional: bool
    ) -> None:
        self.nodes = nodes
        self.root = nodes[-1]
        self.regional = regional
        self.shape = shapes[self.root]
        self.height, self.width = extent(self.shape)
        self.channels = prod(self.shape) // (self.height * self.width)
        self.largest = max(4 * prod(shapes[number]) for number in nodes)
        inner = set(nodes)
        self.sources = tuple(
            dict.fromkeys(s for n in nodes for s in graph.nodes[n].inputs if s not in inner)
        )
        self.name = graph.nodes[self.root].name
        self.titles = tuple(graph.nodes[n].operator.title for n in nodes)
        self._inner = nodes[:-1]
        self._members = inner
        self._steps = tuple((n, graph.nodes[n].operator, graph.nodes[n].inputs) for n in nodes)
        self._tiled = tiled_unit(graph, nodes, shapes) if regional else None
        self._chain = self._tiled or (chained(graph, nodes, shapes) if regional else None)
        self._transient = self._transient_of(graph, shapes)
        self._all = shapes
        self._shapes = {n: tuple(shapes[s] for s in graph.nodes[n].inputs) for n in nodes}
        self._needed: dict[Rectangle, tuple[Rectangle, ...]] = {}
        self._tables: dict[int, ReachTable] = {}

    def reached(self, source: int, changed: RegionSet) -> RegionSet:
        """Places of the root that a change of these places of the value `source` may alter."""
        table = self._tables.get(source)
        if table is None:
            # Made when first wanted: it takes milliseconds for a large map.
            table = self._tables[source] = ReachTable(
                partial(self._reach, source), extent(self._all[source]), (self.height, self.width)
            )
        return changed if table.still else changed.mapped(table)

    def needed(self, rectangle: Rectangle) -> tuple[Rectangle, ...]:
        """Pixels of each of the unit's nodes that a rectangle of the root takes, in their order."""
        found = self._needed.get(rectangle)
        if found is None:
            if len(self._needed) >= _REMEMBERED:
                self._needed.clear()
            found = self._needed[rectangle] = self._need(rectangle)
        return found

    @property
    def chained(self) -> bool:
        """Whether it is computed by one call, which keeps inner values in the cache by itself."""
        return self._chain is not None

    @property
    def makers(self) -> tuple[str, ...]:
        """Whose kernels compute its convolutions ("C", "oneDNN", "PyTorch"), each once."""
        found = (o for _, o, _ in self._steps if isinstance(o, Convolution))
        return tuple(dict.fromkeys("C" if o.tiled else o.kernel.maker for o in found))

    @property
    def tiled(self) -> bool:
        """Whether it is computed by tiles."""
        return self._tiled is not None

    def tiles(self, rectangles: Sequence[Rectangle]) -> int:
        """How many tiles rectangles of the root take, if it is computed by tiles; else none."""
        return 0 if self._tiled is None else self._tiled.tiles(rectangles)

    def flops(self, rectangle: Rectangle) -> int:
        """Floating-point operations that a rectangle of the root takes."""
        return sum(
            operator.flops(region, self._shapes[number])
            for (number, operator, _), region in zip(
                self._steps, self.needed(rectangle), strict=True
            )
        )

    def run(self, values: Sequence[Tensor | None]) -> Tensor:
        """Compute the root's whole value.

        Inner values are let go as soon as their one reader has run: memory that was just used is
        still in the cache.
        """
        if self._chain is not None:
            result = torch.empty((1, *self.shape), memory_format=torch.channels_last)
            self._write([Rectangle.whole(self.height, self.width)], values, result)
            return result
        found: dict[int, Tensor] = {}
        for number, operator, inputs in self._steps:
            found[number] = operator.run(*[_read(found, values, s) for s in inputs])
            for source in inputs:
                found.pop(source, None)
        return found[self.root]

    def recompute(self, rectangles: Sequence[Rectangle], values: Sequence[Tensor | None]) -> None:
        """Bring rectangles of the root's kept value up to date.

        Args:
            rectangles: of the root, none of them empty.
            values: kept ones; the root's is written.
        """
        kept = cast(Tensor, values[self.root])
        if self._chain is not None:
            self._write(rectangles, values, kept)
            return
        for rectangle in rectangles:
            cut(kept, rectangle).copy_(self._computed(rectangle, values))

    def computed(
        self, rectangles: Sequence[Rectangle], values: Sequence[Tensor | None]
    ) -> Iterator[Part]:
        """Compute rectangles of the root's value, and yield the parts of the map that hold them.

        Inner values are patches of what a rectangle takes of them, so that they stay in the
        processor's cache from one operator to the next. Tiles are computed for all rectangles at
        once, so that weights are read once and no tile is computed twice.

        Args:
            rectangles: of the root, none of them empty.
            values: kept ones.
        """
        if self._chain is None:
            for each in rectangles:
                yield Part(self._computed(each, values), (each,), (each.top, each.left))
            return
        # In a map of all rectangles, of which no more memory is taken than what is written.
        around = reduce(Rectangle.united, rectangles, EMPTY)
        shape = (1, self.shape[0], around.height, around.width)
        found = torch.empty(shape, memory_format=torch.channels_last)
        self._write(rectangles, values, found, (around.top, around.left))
        yield Part(found, rectangles, (around.top, around.left))

    def _write(
        self,
        rectangles: Sequence[Rectangle],
        values: Sequence[Tensor | None],
        result: Tensor,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """Have the chain or the tiles write rectangles of the root."""
        chain = cast(TiledUnit | ChainedUnit, self._chain)
        if self._tiled is not None and self._transient is not None:
            taken = self._tiled.taken(self._transient.number, rectangles)
            values = self._transient.among(values, taken)
        chain.write(rectangles, values, result, origin)

    def _transient_of(self, graph: Graph, shapes: Sequence[Shape]) -> Transient | None:
        """What computes the nodes before a convolution by tiles, if there are any."""
        if self._tiled is None:
            return None
        before = tuple(n for n in self.nodes if n not in self._tiled.nodes)
        return Transient(Unit(graph, before, shapes, regional=True)) if before else None

    def _computed(
        self,
        rectangle: Rectangle,
        values: Sequence[Tensor | None],
    ) -> Tensor:
        if not self._inner:
            _, operator, inputs = self._steps[-1]
            return operator.run_region(rectangle, *[cast(Tensor, values[s]) for s in inputs])
        patches: dict[int, tuple[Rectangle, Tensor]] = {}
        regions = self.needed(rectangle)
        for (number, operator, inputs), region in zip(self._steps, regions, strict=True):
            if region.empty:
                continue
            if not joins(operator):  # reads kept values alone: `partition` has seen to it
                sources = [cast(Tensor, values[s]) for s in inputs]
                patches[number] = region, operator.run_region(region, *sources)
                continue
            rows = self._rows(number, operator, inputs, region, patches, values)
            if rows is not None:
                patches[number] = region, rows
                continue
            reads = operator.reads(region, self._shapes[number])
            windows = [
                self._window(source, read, operator.fill, patches, values)
                for source, read in zip(inputs, reads, strict=True)
            ]
            patches[number] = region, operator.run_windows(*windows)
        return patches[self.root][1]

    def _rows(
        self,
        number: int,
        operator: Operator,
        inputs: tuple[int, ...],
        region: Rectangle,
        patches: dict[int, tuple[Rectangle, Tensor]],
        values: Sequence[Tensor | None],
    ) -> Tensor | None:
        """Compute a convolution's region of whole rows, if it can be had without padded copies."""
        if not isinstance(operator, Convolution):
            return None
        (source,) = inputs
        _, height, width = self._shapes[number][0]
        if region.left or region.right != extent(self._all[number])[1]:
            return None
        if source not in self._members:
            return operator.run_rows(region, cast(Tensor, values[source]), 0, height)
        if source not in patches or patches[source][0].width != width:
            return None
        place, patch = patches[source]
        return operator.run_rows(region, patch, place.top, height)

    def _window(
        self,
        source: int,
        read: Rectangle,
        fill: float,
        patches: dict[int, tuple[Rectangle, Tensor]],
        values: Sequence[Tensor | None],
    ) -> Tensor:
        """What an operator reads of one of its inputs, `fill` beyond the edges."""
        if source not in self._members:
            return padded_cut(cast(Tensor, values[source]), read, fill)
        if source not in patches:  # all that is read lies beyond the edges
            kept = cast(Tensor, values[self.root])
            return kept.new_full((1, self._all[source][0], read.height, read.width), fill)
        (top, left, _, _), patch = patches[source]
        # What a patch does not hold of it lies beyond the edges.
        return padded_cut(patch, read.shifted(-top, -left), fill)

    def _reach(self, source: int, changed: Rectangle) -> Rectangle:
        places: dict[int, Rectangle] = {source: changed}
        for number, operator, inputs in self._steps:
            reach = EMPTY
            for which, read in enumerate(inputs):
                if read in places:
                    shapes = self._shapes[number]
                    reach = reach.united(operator.reached(places[read], which, shapes))
            places[number] = reach
        return places[self.root]

    def _need(self, rectangle: Rectangle) -> tuple[Rectangle, ...]:
        places = dict.fromkeys(self.nodes, EMPTY)
        places[self.root] = rectangle
        for number, operator, inputs in reversed(self._steps):
            if not self._inner:
                break
            for read, need in zip(
                inputs, self._needs(number, operator, places[number]), strict=True
            ):
                if read in places:
                    places[read] = places[read].united(need)
        return tuple(places[number] for number in self.nodes)

    def _needs(self, number: int, operator: Operator, region: Rectangle) -> list[Rectangle]:
        """What a region takes of each of an operator's inputs, of one size wherever it lies.

        At an edge it takes less, but patches of another size want kernels of their own, which
        take some milliseconds to prepare: so what is missing there is made up for on the other
        side.
        """
        shapes = self._shapes[number]
        needs = operator.needed(region, shapes)
        if region.empty or not isinstance(operator, Batched):
            return needs
        reads = operator.reads(region, shapes)
        return [
            need.united(read.pushed_inside(*extent(shape)))
            for need, read, shape in zip(needs, reads, shapes, strict=True)
        ]


def joins(operator: Operator) -> TypeGuard[Batched]:
    """Whether an operator computes patches from patches, not from whole values alone."""
    return isinstance(operator, Batched) and operator.batched


def _read(inner: dict[int, Tensor], values: Sequence[Tensor | None], number: int) -> Tensor:
    # Roots are kept from the first whole frame on, and a unit reads nothing else from outside.
    return inner[number] if number in inner else cast(Tensor, values[number])
