"""Functions of one pixel's channels: softmax, normalization over channels and the like."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gristmill.incremental.graph.operator import cut
from gristmill.incremental.graph.operators.elementwise import Elementwise
from gristmill.incremental.regions.rectangle import Rectangle


class PerPixel(Elementwise):
    """A function of all channels of a pixel, which has as many results.

    PyTorch computes each row of a matrix by itself, in one order, however many there are: a pixel
    has the same bits wherever it lies.

    Args:
        name: what a plan calls it.
        function: from rows [..., channels] to a new tensor of the same shape, row by row.
    """

    def __init__(self, name: str, function: Callable[[Tensor], Tensor]) -> None:
        self._name, self._function = name, function

    @property
    def title(self) -> str:
        """The function's name."""
        return self._name

    def run(self, *inputs: Tensor) -> Tensor:
        """Apply it to all pixels."""
        return self._applied(inputs[0])

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Apply it to a region's pixels."""
        return self._applied(cut(inputs[0], region))

    def _applied(self, values: Tensor) -> Tensor:
        rows = values.permute(0, 2, 3, 1).contiguous()
        found = self._function(rows).permute(0, 3, 1, 2)
        return found.contiguous(memory_format=torch.channels_last)
