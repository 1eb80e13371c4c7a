"""Dense batches: rows are stacked, shorter ones filled up with 0, and the graph runs as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.serve.runners.body import Values, lengths_of
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.rows import Ragged
from gristmill.store.graph import POINTWISE, Ref

_MOST_ROWS = 1024
_MOST_SMALL_ROWS = 8192
_MOST_ELEMENTS = 1 << 14
_LEAST_ELEMENTS = 1 << 9
_MOST_VALUES = 1 << 20
"""That one value of a batch may have: it fits into a processor's cache."""
_LAYERS = POINTWISE | {"aten.linear.default", "aten.addmm.default", "aten._softmax.default"}


class DenseBody:
    """Runs a graph over whole batches; rows of different lengths in the order of their length.

    Args:
        graph: the captured graph; it must ignore what rows are filled up with.
        ragged: of each output, whether its rows are as long as those of the inputs.
    """

    kind = "dense"

    def __init__(self, graph: Graph, ragged: Sequence[bool]) -> None:
        self.graph = graph
        self._ragged = ragged
        self._most_rows = _rows_at_once(graph)
        self._most_elements = _elements_at_once(graph)

    def __call__(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """Return each output for `rows` rows of the inputs, in order."""
        lengths = lengths_of(inputs)
        if lengths is None:
            return self._stacked(inputs, rows)
        order = np.argsort(lengths, kind="stable")
        lengths = lengths[order]
        inputs = [
            each.select(order) if isinstance(each, Ragged) else each[order] for each in inputs
        ]
        runs = [
            slice(int(places[0]), int(places[-1]) + 1)
            for places in batches(lengths, np.arange(rows), self._most_elements)
        ]
        parts = [self._padded([each[run] for each in inputs], lengths[run]) for run in runs]
        back = np.argsort(order, kind="stable")
        return [joined(found, back) for found in zip(*parts, strict=True)]

    def _stacked(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        most = self._most_rows
        if rows <= most:
            return [found.numpy() for found in self.graph(*map(tensor_of, inputs))]
        parts = [
            self._stacked([each[cut : cut + most] for each in inputs], min(most, rows - cut))
            for cut in range(0, rows, most)
        ]
        return [np.concatenate(found) for found in zip(*parts, strict=True)]

    def _padded(self, inputs: Sequence[Values], lengths: NDArray[np.int64]) -> list[Values]:
        """Answer rows whose lengths rise."""
        longest = int(lengths[-1])
        filled = [each.padded(longest) if isinstance(each, Ragged) else each for each in inputs]
        found = [answer.numpy() for answer in self.graph(*map(tensor_of, filled))]
        return [
            cut_rows(answer, lengths) if ragged else answer
            for answer, ragged in zip(found, self._ragged, strict=True)
        ]


def _rows_at_once(graph: Graph) -> int:
    """Return how many rows of one shape go through a graph together: more where it is small."""
    widths = [max(weight.shape, default=1) for weight in graph.weights.values()]
    sizes = [prod(size or 1 for size in given.shape[1:]) for given in graph.spec.inputs]
    if any(node.op not in _LAYERS for node in graph.spec.nodes):
        return _MOST_ROWS
    return max(_MOST_ROWS, min(_MOST_SMALL_ROWS, _MOST_VALUES // max([1, *widths, *sizes])))


def _elements_at_once(graph: Graph) -> int:
    """Return how many padded elements of rows go through a graph together: fewer where it is wide.

    A wide model's values would not fit into the cache, and have more padding among them.
    """
    looked_up = {
        node.args[0].name
        for node in graph.spec.nodes
        if node.op == "aten.embedding.default" and isinstance(node.args[0], Ref)
    }
    widths = [
        weight.shape[-1] if name in looked_up else max(weight.shape, default=1)
        for name, weight in graph.weights.items()
    ]
    return min(_MOST_ELEMENTS, max(_LEAST_ELEMENTS, _MOST_VALUES // max([1, *widths])))


def batches(
    lengths: NDArray[np.int64], order: NDArray[np.int64], most: int
) -> Iterator[NDArray[np.int64]]:
    """Cut rows in the order of their length into batches of at most `most` padded elements.

    Args:
        lengths: rising.
        order: the row that each belongs to.
        most: elements of a batch; a longer row is a batch of its own.
    """
    start = 0
    while start < len(order):
        # The longest row of a batch is its last one.
        sizes = lengths[start : start + _MOST_ROWS] * np.arange(
            1, min(_MOST_ROWS, len(order) - start) + 1
        )
        stop = start + max(1, int(np.searchsorted(sizes, most, "right")))
        yield order[start:stop]
        start = stop


def tensor_of(values: Values) -> Tensor:
    """Return an array as a tensor of the same memory; a copy where it may not be written to."""
    array: Any = values
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def cut_rows(padded: NDArray[Any], lengths: NDArray[np.int64]) -> Ragged:
    """Return the rows of [n, longest, ...] without what they were filled up with."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Ragged(padded[np.arange(padded.shape[1]) < lengths[:, None]], offsets)


def joined(parts: Sequence[Values], back: NDArray[np.int64]) -> Values:
    """Join the batches of one output, its rows put in the order of `back`."""
    ragged = [part for part in parts if isinstance(part, Ragged)]
    if ragged:
        return Ragged.concat(ragged).select(back)
    return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])[back]
