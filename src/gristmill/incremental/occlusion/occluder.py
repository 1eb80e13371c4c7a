"""A captured network's answers to one picture with many different parts of it covered."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.occlusion.base_values import BaseValues, pixels
from gristmill.incremental.occlusion.batch import Batch
from gristmill.incremental.occlusion.batching import LARGEST
from gristmill.incremental.occlusion.covering import Covering
from gristmill.incremental.occlusion.footprints import Axis, Intervals, footprints
from gristmill.incremental.occlusion.kernels import Kernels
from gristmill.incremental.occlusion.scratch import Scratch
from gristmill.incremental.occlusion.tail import Tail

MEMORY = 1 << 28
"""Bytes that the patches of a batch may take."""


class _Plan(NamedTuple):
    """How positions are computed: in batches, and what follows for several of them together."""

    batches: tuple[Batch, ...]
    tail: Tail


class Occluder:
    """Computes the values for a picture once, and for each position what covering it can alter.

    One picture at a time: calls from several threads take turns.

    Args:
        graph: the network.

    Attributes:
        kernels: for many positions.
        scratch: memory that its batches share.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._plans = lru_cache(maxsize=16)(self._plan)
        self.kernels = Kernels(graph)
        self.scratch: defaultdict[int, Scratch] = defaultdict(Scratch)
        self._lock = threading.Lock()

    def base(self, frame: Tensor) -> BaseValues:
        """Compute all values for a picture, float32 [1, channels, height, width].

        Raises:
            UsageError: the network can't take frames of that size.
        """
        with torch.inference_mode():
            return BaseValues(self._graph, frame)

    def results(self, base: BaseValues) -> list[Tensor]:
        """Return what the network returns for the picture as it is."""
        return [base[number] for number in self._graph.outputs]

    def answers(
        self, base: BaseValues, cover: Tensor, covering: Covering
    ) -> Iterator[tuple[list[int], list[Tensor]]]:
        """Yield what the network returns, for some positions after others.

        Args:
            base: the picture's values.
            cover: what takes its place where it is covered, like the frame.
            covering: the positions.

        Yields:
            Numbers of the positions, and of each output [positions, ...].
        """
        rows = pixels(cover)
        with self._lock:
            plan = self._plans(covering)
        numbers: list[int] = []
        parts: list[dict[int, Tensor]] = []
        for batch in plan.batches:
            with torch.inference_mode(), self._lock:
                parts.append(batch.run(base, rows))
            numbers += batch.positions
            if batch is plan.batches[-1] or _bytes(parts) > MEMORY:
                with torch.inference_mode():
                    joined = {
                        number: torch.cat([part[number] for part in parts])
                        for number in plan.tail.wanted
                    }
                    yield numbers, plan.tail.run(base, joined, len(numbers))
                numbers, parts = [], []

    def _plan(self, covering: Covering) -> _Plan:
        graph, (height, width) = self._graph, covering[:2]
        shapes: list[Shape] = [
            *graph.shapes((graph.input_shape[0], height, width)),
            (graph.input_shape[0], height, width),
        ]
        tail = Tail(graph, shapes, self.kernels, covering.bits)
        tops, lefts = zip(*covering.positions, strict=True)
        rows = self._lines(shapes, tops, 0, covering)
        columns = self._lines(shapes, lefts, 1, covering)
        largest = self._largest(shapes, rows, columns)
        count = -(-len(tops) // largest)
        divided = np.array_split(np.arange(len(tops)), count)
        made = [
            Batch(
                graph,
                shapes,
                numbers.tolist(),
                [rows[tops[each]] for each in numbers],
                [columns[lefts[each]] for each in numbers],
                tail,
                self.kernels,
                self.scratch,
                covering.bits,
            )
            for numbers in divided
        ]
        return _Plan(tuple(made), tail)

    def _lines(
        self, shapes: Sequence[Shape], begins: Sequence[int], axis: Axis, covering: Covering
    ) -> dict[int, Intervals]:
        size, keep = covering.patch, covering.keep
        return {
            begin: footprints(self._graph, shapes, begin, begin + size, axis, keep)
            for begin in set(begins)
        }

    def _largest(
        self,
        shapes: Sequence[Shape],
        rows: dict[int, Intervals],
        columns: dict[int, Intervals],
    ) -> int:
        """How many positions fit in the memory that a batch may take."""
        height = np.max([_lengths(each) for each in rows.values()], 0)
        width = np.max([_lengths(each) for each in columns.values()], 0)
        channels = np.array([math.prod(shape) // math.prod(extent(shape)) for shape in shapes])
        most = int((height * width * channels).sum()) * 4
        return max(1, min(LARGEST, MEMORY // most))


def _lengths(intervals: Intervals) -> NDArray[np.int64]:
    found: NDArray[np.int64] = intervals[:, 1] - intervals[:, 0]
    return found


def _bytes(parts: Sequence[dict[int, Tensor]]) -> int:
    return sum(each.nbytes for part in parts for each in part.values())
