"""Packed batches: rows of different lengths, token after token, without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import BundleError, ServeError
from gristmill.serve.runners.body import Values, lengths_of
from gristmill.serve.runners.dense import DenseBody, batches, joined, tensor_of
from gristmill.serve.runners.groups import Groups
from gristmill.serve.runners.packing import Packing
from gristmill.serve.runners.rows import Ragged
from gristmill.store.graph import GraphSpec

_MOST_TOKENS = 2048


class PackedBody:
    """Runs a graph over rows of different lengths without padding.

    Args:
        spec: the captured graph.
        weights: its weights.
        ragged: of each output, whether its rows are as long as those of the inputs.

    Raises:
        BundleError: the graph can't be run so; says why.
    """

    kind = "packed"

    def __init__(
        self, spec: GraphSpec, weights: Mapping[str, Tensor], ragged: Sequence[bool]
    ) -> None:
        try:
            self._packing = Packing(spec, weights)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise BundleError(f"the graph fails on small inputs: {error}") from error
        self._ragged = ragged

    def __call__(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """Return each output for `rows` rows of the inputs, in order."""
        lengths = lengths_of(inputs)
        if lengths is None:
            raise ServeError("expected rows of free length, found none")
        order = np.argsort(lengths, kind="stable")
        parts = [
            self._run(inputs, lengths, places)
            for places in batches(lengths[order], order, _MOST_TOKENS)
        ]
        back = np.argsort(order, kind="stable")
        return [joined(found, back) for found in zip(*parts, strict=True)]

    def _run(
        self, inputs: Sequence[Values], lengths: NDArray[np.int64], places: NDArray[np.int64]
    ) -> list[Values]:
        mine = lengths[places]
        tensors = [
            tensor_of(each.select(places).values if isinstance(each, Ragged) else each[places])
            for each in inputs
        ]
        try:
            found = self._packing.run(tensors, Groups(mine))
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise ServeError(f"{error}", where="graph") from error
        offsets = np.concatenate([[0], np.cumsum(mine)])
        return [
            Ragged(answer.numpy(), offsets) if ragged else answer.numpy()
            for answer, ragged in zip(found, self._ragged, strict=True)
        ]


def gap_between(packed: PackedBody, dense: DenseBody, inputs: Sequence[Values], rows: int) -> float:
    """Return how far packed answers are from padded ones, in units of the largest answer or 1."""
    gaps = [0.0]
    for ours, theirs in zip(packed(inputs, rows), dense(inputs, rows), strict=True):
        one, two = _flat(ours), _flat(theirs)
        scale = max(1.0, float(np.abs(two).max(initial=0.0)))
        gaps.append(float(np.abs(one - two).max(initial=0.0)) / scale)
    return float(np.max(gaps))


def _flat(values: Values) -> NDArray[Any]:
    return (values.values if isinstance(values, Ragged) else values).astype(np.float64)
