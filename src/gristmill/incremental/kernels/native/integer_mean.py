"""The mean of a 1x1 convolution's results in C, of what differs from a known map.

The mean moves by the mean of what each pixel moves by: no map is written to be read once. Nothing
drifts, as each result begins with the known map's mean.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.held_memory import HeldMemory
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.convolution import is_bounds, pointwise
from gristmill.incremental.kernels.native.differences import Known
from gristmill.incremental.kernels.native.integer_block import IntegerConvolution
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import share_range
from gristmill.incremental.kernels.native.structures import LONG

_scratch = HeldMemory()


class IntegerMeanKernel:
    """The mean of a layer's results over a map, by products of integers of 8 bits.

    A position depends on no other.

    Args:
        layer: one that `suits`.
    """

    def __init__(self, layer: Layer) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `suits` has said so
        self._run = native.average_integers
        weights = layer.weight.flatten(1)
        self._convolution = IntegerConvolution(weights, weights.norm(dim=1), layer.activation)
        self._outputs, self._products = len(weights), weights.numel()

    def __call__(
        self, rows: Tensor, mean: Tensor, spans: NDArray[np.int64], known: Known
    ) -> Tensor:
        """Compute the positions' means, [positions, outputs].

        Args:
            rows: that the layer reads where they differ, float32 [pixels, inputs].
            mean: of the known map's results, float32 [1, outputs].
            spans: [positions, 2]: of each, its first row and the one after the last.
            known: what the rows are beside; the whole map's values, and its `rounded_sums`.
        """
        rows, mean = rows.contiguous(), mean.contiguous()
        results = rows.new_empty((len(spans), self._outputs))
        spans = np.ascontiguousarray(spans, LONG)
        sizes = spans[:, 1] - spans[:, 0]
        read = int(sizes.max(initial=0)) * (self._convolution.words + 2)

        def compute(part: slice) -> None:
            room = _scratch.address(read + self._convolution.wide)
            some = spans[part]
            self._run(
                ctypes.byref(self._convolution.structure),
                ctypes.byref(known.structure),
                ctypes.c_void_p(mean.data_ptr()),
                ctypes.c_long(len(known.values)),
                ctypes.c_void_p(rows.data_ptr()),
                ctypes.c_void_p(some.ctypes.data),
                ctypes.c_long(len(some)),
                ctypes.c_void_p(room),
                ctypes.c_void_p(room + 4 * read),
                ctypes.c_void_p(results[part].data_ptr()),
            )

        products = self._products * int(sizes.sum()) // max(1, len(spans))
        share_range(compute, len(spans), products)
        return results


def suits(layer: Layer) -> bool:
    """Whether a layer is `pointwise`, and its activation is bounds or none."""
    return pointwise(layer) and (layer.activation is None or is_bounds(layer.activation))
