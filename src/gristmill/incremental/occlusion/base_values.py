"""All values of the network for the picture as it is: what patches are cut into."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gristmill.incremental.graph.node import FRAME, Graph


class Border(NamedTuple):
    """What is put around a map, in pixels on each side, and its value."""

    top: int
    left: int
    bottom: int
    right: int
    fill: float


class BaseValues:
    """Values of every node for one frame, and copies of them with borders.

    Args:
        graph: the network.
        frame: float32 [1, channels, height, width].

    Attributes:
        frame: the frame in channels-last memory.
    """

    def __init__(self, graph: Graph, frame: Tensor) -> None:
        self.frame = frame.contiguous(memory_format=torch.channels_last)
        self._values = graph.run(self.frame)
        self._bordered: dict[tuple[int, Border], Tensor] = {}

    def __getitem__(self, number: int) -> Tensor:
        """Value of a node; of number -1, the frame."""
        return self.frame if number == FRAME else self._values[number]

    def bordered(self, number: int, border: Border) -> Tensor:
        """A node's map within a border, one row for each pixel: [height * width, channels]."""
        found = self._bordered.get((number, border))
        if found is None:
            found = self._bordered[number, border] = _pixels(self[number], border)
        return found


def _pixels(values: Tensor, border: Border) -> Tensor:
    _, channels, height, width = values.shape
    top, left, bottom, right, fill = border
    if not any((top, left, bottom, right)):
        return values.permute(0, 2, 3, 1).reshape(-1, channels)
    found = values.new_full((height + top + bottom, width + left + right, channels), fill)
    found[top : top + height, left : left + width] = values[0].permute(1, 2, 0)
    return found.view(-1, channels)
