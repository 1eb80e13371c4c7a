"""Positions that are computed together: what is to be done at every node, and doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.graph.operator import Batched, Operator, Shape, cut, whole
from gristmill.incremental.occlusion.base_values import BaseValues, Border
from gristmill.incremental.occlusion.footprints import Intervals
from gristmill.incremental.occlusion.kernels import Compute, Kernels
from gristmill.incremental.occlusion.moves import Move, move
from gristmill.incremental.occlusion.places import Places, places
from gristmill.incremental.occlusion.scratch import Scratch
from gristmill.incremental.occlusion.tail import Tail
from gristmill.incremental.regions.rectangle import Rectangle

_NO_BORDER = Border(0, 0, 0, 0, 0.0)


class _Step(NamedTuple):
    """What is done at one node of which something changes.

    Args:
        number: of the node.
        compute: makes its patches of its inputs' windows.
        inputs: numbers of the nodes it reads, and what makes windows of each.
        done: nodes whose patches nothing reads afterwards.
    """

    number: int
    compute: Compute
    inputs: tuple[tuple[int, Move], ...]
    done: tuple[int, ...]


class Batch:
    """Computes some values of the network, in full, for several covered positions of one frame.

    Every value is computed where the positions' footprints say, in one call for all positions. What
    may depend on a whole map is computed in full, and so is what patches cover most of.

    Args:
        graph: the network.
        shapes: of all nodes' values, and of the frame behind them.
        positions: what the batch's positions are called outside.
        rows: of each position, its footprints.
        columns: of each position, likewise.
        tail: nodes that are left out; what they read is what is wanted.
        kernels: for many positions.
        scratch: two memories or more, each for one input of a node.
    """

    def __init__(
        self,
        graph: Graph,
        shapes: Sequence[Shape],
        positions: Sequence[int],
        rows: Sequence[Intervals],
        columns: Sequence[Intervals],
        tail: Tail,
        kernels: Kernels,
        scratch: Mapping[int, Scratch],
    ) -> None:
        self.positions = tuple(positions)
        self._graph, self._shapes, self._scratch = graph, shapes, scratch
        self._kernels = kernels
        self._places = places(rows, columns, shapes)
        covered = self._places[FRAME]
        self._covered = [] if covered is None else covered.rectangles()
        self._wanted = tail.wanted
        self._steps = [
            self._step(number, placed)
            for number, placed in enumerate(self._places[:-1])
            if placed is not None and number not in tail.nodes
        ]
        self._results = [
            (number, self._move(number, Places.whole(shapes[number], len(positions)), 0))
            for number in self._wanted
        ]

    def run(self, base: BaseValues, cover: Tensor) -> dict[int, Tensor]:
        """Return the values that the tail wants, each [positions, ...] of its node.

        Args:
            base: values for the picture as it is.
            cover: what takes the picture's place where it is covered, like the frame.
        """
        patches = {FRAME: torch.cat([cut(cover, each) for each in self._covered])}
        for number, compute, inputs, done in self._steps:
            windows = [make(base, patches.get(source)) for source, make in inputs]
            patches[number] = compute(*windows)
            for each in done:
                patches.pop(each, None)
        # Values of their own: the next batch writes to the memory that windows may lie in.
        return {
            number: make(base, patches.get(number)).clone(memory_format=torch.preserve_format)
            for number, make in self._results
        }

    def _step(self, number: int, placed: Places) -> _Step:
        node = self._graph.nodes[number]
        operator, sources = node.operator, [self._shapes[source] for source in node.inputs]
        everything = [Places.whole(shape, len(self.positions)) for shape in sources]
        windows, borders = everything, [_NO_BORDER] * len(sources)
        compute: Compute
        size = len(self.positions), placed.height, placed.width
        if placed.cover(self._shapes[number]):
            compute = self._kernels.whole(number, *size) or operator.run
        elif isinstance(operator, Batched) and operator.batched:
            compute = self._kernels.windows(number, *size) or operator.run_windows
            read = [operator.reads(region, sources) for region in placed.rectangles()]
            windows = [Places.of(each) for each in zip(*read, strict=True)]
            most = operator.reads(whole(self._shapes[number]), sources)
            borders = [
                _border(each, shape, operator.fill)
                for each, shape in zip(most, sources, strict=True)
            ]
        else:
            compute = partial(_one_by_one, operator, placed.rectangles())
        moves = [
            (source, self._move(source, read, which, border))
            for which, (source, read, border) in enumerate(
                zip(node.inputs, windows, borders, strict=True)
            )
        ]
        return _Step(number, compute, tuple(moves), self._done(number))

    def _move(self, source: int, windows: Places, which: int, border: Border = _NO_BORDER) -> Move:
        scratch = self._scratch[which]
        shape, patches = self._shapes[source], self._places[source]
        return move(source, shape, patches, windows, border, scratch)

    def _done(self, number: int) -> tuple[int, ...]:
        graph = self._graph
        return tuple(
            source
            for source in dict.fromkeys(graph.nodes[number].inputs)
            if graph.readers[source][-1] == number and source not in self._wanted
        )


def _border(read: Rectangle, shape: Shape, fill: float) -> Border:
    """How far a rectangle stretches beyond a map."""
    inside = whole(shape)
    return Border(
        max(0, -read.top),
        max(0, -read.left),
        max(0, read.bottom - inside.bottom),
        max(0, read.right - inside.right),
        fill,
    )


def _one_by_one(operator: Operator, regions: Sequence[Rectangle], *wholes: Tensor) -> Tensor:
    """Compute a region of each frame, from whole maps."""
    parts = [
        operator.run_region(region, *(each[n : n + 1] for each in wholes))
        for n, region in enumerate(regions)
    ]
    return torch.cat(parts)
