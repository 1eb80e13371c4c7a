"""Positions that are computed together: what is to be done at every node, and doing it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.graph.operator import Batched, Operator, Shape, extent, whole
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.kernels.native.block import Prepare
from gristmill.incremental.kernels.native.convolution import Bits
from gristmill.incremental.kernels.native.groups import Groups, grouped
from gristmill.incremental.kernels.native.integer_block import rounded_sums
from gristmill.incremental.kernels.native.integer_mean import IntegerMeanKernel
from gristmill.incremental.kernels.native.scattered import ScatteredConvolution
from gristmill.incremental.kernels.tile_grid import READ, SIDE
from gristmill.incremental.occlusion.base_values import BaseValues, Compute, pixels
from gristmill.incremental.occlusion.batching import batches
from gristmill.incremental.occlusion.footprints import Intervals
from gristmill.incremental.occlusion.kernels import Block, Kernels
from gristmill.incremental.occlusion.layout import Layout, Numbers, Places
from gristmill.incremental.occlusion.reading import (
    Averaged,
    Beside,
    Differing,
    Expanded,
    Passed,
    Patches,
    Pixels,
    Pooled,
    Scattered,
    located,
)
from gristmill.incremental.occlusion.reads import Read, Reads
from gristmill.incremental.occlusion.scratch import Scratch
from gristmill.incremental.occlusion.tail import Tail
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle

WHOLE = 0.85
"""From this share of a map on, all of it is computed: to cut patches out would cost as much."""

ELEMENT = 40
"""What it costs to move a number, in floating-point operations."""

CALL = 6e6
"""What one call of an operator costs over and above its work, in floating-point operations."""

TILES = 128
"""Tiles in a call: what they are transformed into should stay in the cache."""


class _Part(NamedTuple):
    """A call: what computes, what makes what it reads of each input, and how many rows it gives."""

    compute: Compute
    reads: tuple[Read, ...]
    rows: int


class _Step(NamedTuple):
    """What is done at one node of which something changes.

    Args:
        number: of the node.
        inputs: numbers of the nodes it reads.
        parts: calls that make its patches, one after the other.
        done: nodes whose patches nothing reads afterwards.
    """

    number: int
    inputs: tuple[int, ...]
    parts: tuple[_Part, ...]
    done: tuple[int, ...]


class Batch:
    """Computes some values of the network, in full, for several covered positions of one frame.

    Every value is computed where the positions' footprints say, for all positions before the next
    one: pixel by pixel in one call, tile by tile in one call, and windows in a call for all that
    have nearly one size. Depthwise convolutions read pixels where they are, and with the pointwise
    ones around them are one call. What may depend on a whole map is computed in full, and so is
    what patches cover most of.

    Args:
        graph: the network.
        shapes: of all nodes' values, and of the frame behind them.
        positions: what the batch's positions are called outside.
        rows: of each position, its footprints.
        columns: of each position, likewise.
        tail: nodes that are left out; what they read is what is wanted.
        kernels: for many positions.
        scratch: memories, each for one input of a node.
        bits: of the numbers that wide pointwise convolutions multiply of what changes.
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
        bits: Bits = 32,
    ) -> None:
        self.positions = tuple(positions)
        self._graph, self._shapes = graph, shapes
        self._kernels, self._tail, self._bits = kernels, tail, bits
        self._rows, self._columns = np.stack(rows), np.stack(columns)
        self._everyone = np.arange(len(self.positions))
        self._layouts: dict[int, Layout] = {}
        self._reads = Reads(shapes, self._layouts, scratch)
        self._slices: dict[int, list[slice]] = {}
        covered = self._footprints(FRAME)
        self._covered = self._row_numbers(covered)
        self._layouts[FRAME] = Layout.consecutive([(self._everyone, covered)], len(positions))
        self._slices[FRAME] = [slice(0, len(self._covered))]
        self._blocks = {
            last: block
            for last, block in kernels.blocks.items()
            if not {block.first, block.second, block.third, last} & {*tail.nodes}
            and not {block.first, block.second, block.third} & {*tail.wanted} - {last}
            and self._sum_fits(block, last)
        }
        self._means = {
            number: node.inputs[0]
            for number, node in enumerate(graph.nodes)
            if number not in tail.nodes and self._averages(number)
        }
        self._begins = {block.first for block in self._blocks.values()} | {*self._means.values()}
        # Of blocks, all but the last nodes' steps; and those of what only a mean is taken of.
        self._inner: dict[int, _Step] = {}
        self._steps: list[_Step] = []
        for number in range(len(graph.nodes)):
            if number not in tail.nodes and self._footprints(number).areas.any():
                self._plan(number)
        self._results = [
            (number, self._reads.windows(number, self._everyone, self._whole(number)))
            for number in tail.wanted
        ]

    def run(self, base: BaseValues, cover: Tensor) -> dict[int, Tensor]:
        """Return the values that the tail wants, each [positions, ...] of its node.

        Args:
            base: values for the picture as it is.
            cover: rows of the pixels that take the picture's place where it is covered.
        """
        covered = cover.index_select(0, self._covered)  # a third of what `[]` takes
        found = {FRAME: Patches(base, FRAME, [covered])}

        def patches(number: int) -> Patches:
            return found.get(number) or Patches(base, number)

        for number, inputs, parts, done in self._steps:
            made = [
                compute(
                    *(read(patches(source)) for source, read in zip(inputs, reads, strict=True))
                )
                for compute, reads, _ in parts
            ]
            found[number] = Patches(base, number, [pixels(each) for each in made])
            for each in done:
                found.pop(each, None)
        # Values of their own: the next batch writes to the memory that these may lie in.
        return {
            number: read(patches(number)).clone(memory_format=torch.preserve_format)
            for number, read in self._results
        }

    def _footprints(self, number: int) -> Places:
        down, across = self._rows[:, number], self._columns[:, number]
        heights, widths = down[:, 1] - down[:, 0], across[:, 1] - across[:, 0]
        reached = (heights > 0) & (widths > 0)
        return Places(down[:, 0], across[:, 0], heights * reached, widths * reached)

    def _row_numbers(self, covered: Places) -> Tensor:
        _, rows, columns = covered.pixels()
        return torch.from_numpy(rows * extent(self._shapes[FRAME])[1] + columns)

    def _plan(self, number: int) -> None:
        """Find out what is done at a node; of a block's nodes, it is done at the last."""
        node = self._graph.nodes[number]
        block = self._blocks.get(number)
        if block is not None and block.third in self._inner:  # whose sum this is
            self._layouts[number] = self._layouts[block.third]
            self._slices[number] = self._slices[block.third]
            self._steps.append(self._block_step(number, self._done(number)))
            return
        layout, parts = self._parts(number, node.operator)
        self._layouts[number] = layout
        if not self._within(number):
            parts = self._differing(number, parts)
        ends = np.cumsum([part.rows for part in parts]).tolist()
        self._slices[number] = list(map(slice, [0, *ends[:-1]], ends))
        step = _Step(number, node.inputs, tuple(parts), self._done(number))
        if number in self._begins and len(parts) == 1 and not layout.tiled:
            self._inner[number] = step
        elif node.inputs[0] not in self._inner:
            self._steps.append(step)
        elif number in self._blocks:
            self._steps.append(self._block_step(number, ()))
        elif number in self._means:
            self._steps.append(self._mean_step(number))
        else:
            self._inner[number] = step

    def _sum_fits(self, block: Block, last: int) -> bool:
        """Whether a block's sum, if it has one, has the patches of what is summed."""
        if block.third == last:
            return True
        (source,) = self._graph.nodes[block.first].inputs
        places = (self._footprints(number) for number in (block.third, last))
        alike = all(map(np.array_equal, *places))
        return alike and self._shapes[source] == self._shapes[last]

    def _block_step(self, last: int, done: tuple[int, ...]) -> _Step:
        """All of a block, done at its last node, after which nothing reads some others."""
        block = self._blocks[last]
        first, second = self._inner[block.first], self._inner[block.second]
        (read,), (scattered,) = first.parts[0].reads, second.parts[0].reads
        kernel = self._kernels.block(last, self._bits)
        reads, gives = (self._layouts[number].spans for number in (block.first, block.second))
        nodes = (block.first, block.second, block.third)
        beside = [
            self._beside(nodes[layer], prepare=prepare) for layer, prepare in kernel.known.items()
        ]
        # The last node's are the same.
        which, rows, columns = self._layouts[block.second].places.pixels()
        groups = Groups.of(
            grouped(reads, gives, kernel.together),
            rows,
            columns,
            cast(Scattered, scattered).numbers.numpy(),
            self._pixels(block.first),
        )
        added = None
        if last != block.third:
            (source,) = first.inputs
            layout, shape = self._layouts.get(source), self._shapes[source]
            added = located(layout, shape, which, rows, columns)
        expanded = Expanded(
            kernel,
            block.first,
            cast(Pixels, read),
            cast(Scattered, scattered),
            groups,
            beside,
            added,
        )
        part = _Part(_as_it_is, (expanded,), second.parts[0].rows)
        return _Step(last, first.inputs, (part,), first.done + done)

    def _averages(self, number: int) -> bool:
        """Whether a node's means are computed together with the convolution that they are of."""
        kernel = self._kernels.mean(number, self._bits)
        if kernel is None:
            return False
        (source,) = self._graph.nodes[number].inputs
        areas = self._footprints(source).areas
        fills = areas >= WHOLE * self._pixels(source)
        whole = isinstance(kernel, IntegerMeanKernel) or bool((fills | (areas == 0)).all())
        return whole and source not in self._blocks

    def _mean_step(self, number: int) -> _Step:
        """A convolution and the mean of its results, of which only that is kept."""
        source = self._means[number]
        step, layout = self._inner[source], self._layouts[number]
        read = cast(Pixels, step.parts[0].reads[0])
        kernel = self._kernels.mean(number, self._bits)
        spans = self._layouts[source].spans[layout.order]
        averaged: Read
        if isinstance(kernel, IntegerMeanKernel):
            beside = self._beside(source, prepare=rounded_sums)
            averaged = Averaged(kernel, number, read, spans, beside)
        else:
            assert kernel is not None  # noqa: S101 - it is one of the means
            averaged = Pooled(kernel, read, spans)
        return _Step(number, step.inputs, (_Part(_as_it_is, (averaged,), len(spans)),), step.done)

    def _parts(self, number: int, operator: Operator) -> tuple[Layout, list[_Part]]:
        """Where a node's patches lie, and the calls that make them."""
        shape, sources = self._shapes[number], self._sources(number)
        windowed = operator if isinstance(operator, Batched) and operator.batched else None
        single = windowed is not None and _pointwise(windowed, shape, sources)
        scattered = self._kernels.scattered(number)
        if scattered is not None and isinstance(operator, Convolution):
            return self._by_rows(number, operator, scattered, self._footprints(number))
        full = self._full(number, WHOLE if windowed else 0.0, single)
        places = self._whole(number).where(full, self._footprints(number))
        reached = np.flatnonzero(places.areas)
        if windowed and single:
            return self._by_pixels(number, windowed, places)
        tiles = self._kernels.tiles(number, places)
        if tiles is not None and isinstance(operator, Convolution):
            return self._by_tiles(number, operator, tiles, places)
        groups = [
            (which, places.of(which).as_largest(shape))
            for which in self._groups(number, reached, places)
        ]
        parts = [
            self._in_full(number, operator, which)
            if windowed is None or (joint.areas == self._pixels(number)).all()
            else self._by_windows(number, windowed, which, joint)
            for which, joint in groups
        ]
        return Layout.consecutive(groups, len(full)), parts

    def _full(self, number: int, share: float, single: bool) -> NDArray[np.bool_]:
        """Positions at which all of a map is computed, bool[positions].

        Args:
            number: of the node.
            share: of the map, from which on this is so.
            single: whether pixels are made of single ones: each costs as much as another, so that
                nothing is gained unless all that they are made of is there.
        """
        areas = self._footprints(number).areas
        found: NDArray[np.bool_] = (areas > 0) & (areas >= share * self._pixels(number))
        for source in self._graph.nodes[number].inputs if single else ():
            layout = self._layouts.get(source)
            if layout is not None and number not in self._means.values():
                found &= layout.places.areas == self._pixels(source)
        return found

    def _whole(self, number: int) -> Places:
        return Places.whole(self._shapes[number], len(self._everyone))

    def _pixels(self, number: int) -> int:
        """Of a node's map."""
        return math.prod(extent(self._shapes[number]))

    def _within(self, number: int) -> bool:
        """Whether a node's values are not kept, or made by its block."""
        return number in self._begins or any(
            each in self._inner for each in self._graph.nodes[number].inputs
        )

    def _differing(self, number: int, parts: list[_Part]) -> list[_Part]:
        """The same calls of a pointwise convolution, by differences where these are wanted."""
        kernel = self._kernels.difference(number, self._bits)
        if kernel is None:
            return parts
        found, begin = [], 0
        for _, (read,), rows in parts:
            beside = self._beside(number, slice(begin, begin + rows))
            found.append(_Part(_as_it_is, (Differing(kernel, cast(Pixels, read), beside),), rows))
            begin += rows
        return found

    def _beside(
        self, number: int, rows: slice = slice(None), prepare: Prepare | None = None
    ) -> Beside:
        """What some rows of a convolution's patches are beside."""
        (source,) = self._graph.nodes[number].inputs
        _, columns = extent(self._shapes[number])
        origins = self._layouts[number].origins(columns)[rows]
        return Beside(number, source, origins, self._kernels.plain(number), prepare)

    def _by_pixels(
        self, number: int, operator: Batched, places: Places
    ) -> tuple[Layout, list[_Part]]:
        """Patches as rows of pixels: those of the inputs' calls if all lie alike, else one."""
        inputs = self._graph.nodes[number].inputs
        layouts = [self._layouts.get(source) for source in inputs]
        first = layouts[0]
        if first is not None and all(each is not None and first.same(each) for each in layouts):
            return first, [self._along(number, operator, rows) for rows in self._slices[inputs[0]]]
        which, rows, columns = places.pixels()
        reads = [
            self._reads.pixels(source, n, which, rows, columns, (1, 1, len(which)))
            for n, source in enumerate(inputs)
        ]
        layout = Layout.consecutive([(self._everyone, places)], len(self._everyone))
        return layout, [_Part(operator.run_windows, tuple(reads), len(which))]

    def _along(self, number: int, operator: Batched, rows: slice) -> _Part:
        count = rows.stop - rows.start
        reads = [
            Passed(rows, (1, 1, count), self._shapes[source])
            for source in self._graph.nodes[number].inputs
        ]
        return _Part(operator.run_windows, tuple(reads), count)

    def _by_rows(
        self, number: int, operator: Convolution, kernel: ScatteredConvolution, places: Places
    ) -> tuple[Layout, list[_Part]]:
        """All patches in one call, which reads rows of pixels where they lie."""
        (source,) = self._graph.nodes[number].inputs
        which, rows, columns = places.pixels()
        numbers = located(
            self._layouts.get(source),
            self._shapes[source],
            which[:, None, None],
            _taps(operator.rows, rows)[:, :, None],
            _taps(operator.columns, columns)[:, None, :],
        )
        layout = Layout.consecutive([(self._everyone, places)], len(self._everyone))
        return layout, [_Part(_as_it_is, (Scattered(kernel, numbers),), len(which))]

    def _by_tiles(
        self, number: int, operator: Convolution, compute: Compute, places: Places
    ) -> tuple[Layout, list[_Part]]:
        """All patches as rows of tiles, some dozens in a call."""
        (source,) = self._graph.nodes[number].inputs
        which, rows, columns = places.tiles()
        parts: list[_Part] = []
        for begin in range(0, len(which), TILES):
            some = slice(begin, begin + TILES)
            count = len(which[some])
            # Calls of few sizes only: what lies beyond the edges fills the last one.
            spare = -count % (TILES // 4)
            of = np.pad(which[some], (0, spare))[:, None, None]
            down = np.pad(rows[some] - operator.padding.top, (0, spare), constant_values=-READ)
            across = np.pad(
                columns[some] - operator.padding.left, (0, spare), constant_values=-READ
            )
            side = np.arange(READ)
            read = self._reads.pixels(
                source,
                0,
                of,
                down[:, None, None] + side[:, None],
                across[:, None, None] + side,
                (count + spare, READ, READ),
            )
            parts.append(_Part(compute, (read,), (count + spare) * SIDE**2))
        return Layout.in_tiles(places), parts

    def _in_full(self, number: int, operator: Operator, which: Numbers) -> _Part:
        reads = [
            self._reads.windows(source, which, Places.whole(self._shapes[source], len(which)), n)
            for n, source in enumerate(self._graph.nodes[number].inputs)
        ]
        rows = len(which) * self._pixels(number)
        return _Part(operator.run, tuple(reads), rows)

    def _by_windows(self, number: int, operator: Batched, which: Numbers, places: Places) -> _Part:
        sources = self._sources(number)
        windows = [operator.reads(each, sources) for each in places.rectangles()]
        reads = [
            self._reads.windows(source, which, Places.of_rectangles(each), n, operator.fill)
            for n, (source, each) in enumerate(
                zip(self._graph.nodes[number].inputs, zip(*windows, strict=True), strict=True)
            )
        ]
        return _Part(operator.run_windows, tuple(reads), int(places.areas.sum()))

    def _groups(self, number: int, reached: Numbers, places: Places) -> Iterator[Numbers]:
        """Positions that are computed in one call: of nearly one size."""
        operator, sources = self._graph.nodes[number].operator, self._sources(number)
        work = operator.flops(Rectangle(0, 0, 1, 1), sources)
        pixel = np.array([work + ELEMENT * self._shapes[number][0]], np.float64)
        # Two operations a weight and pixel: every call reads all weights.
        call = CALL + (ELEMENT * work / 2 if isinstance(operator, Convolution) else 0)
        _, _, heights, widths = places.of(reached)
        for each in batches(heights[:, None], widths[:, None], pixel, call):
            yield reached[each]

    def _sources(self, number: int) -> list[Shape]:
        return [self._shapes[source] for source in self._graph.nodes[number].inputs]

    def _done(self, number: int) -> tuple[int, ...]:
        graph = self._graph
        return tuple(
            source
            for source in dict.fromkeys(graph.nodes[number].inputs)
            if graph.readers[source][-1] == number and source not in self._tail.wanted
        )


def _taps(window: Window, outputs: Numbers) -> Numbers:
    """What each output of a window reads along its axis, [outputs, kernel]."""
    begins = outputs * window.stride - window.padding
    return begins[:, None] + window.dilation * np.arange(window.kernel)


def _as_it_is(rows: Tensor) -> Tensor:
    return rows


def _pointwise(operator: Batched, shape: Shape, sources: Sequence[Shape]) -> bool:
    """Whether every pixel is made of the same pixel of each input, and of no other."""
    return all(
        read == region
        for region in (whole(shape), Rectangle(0, 0, 1, 1))
        for read in operator.reads(region, sources)
    )
