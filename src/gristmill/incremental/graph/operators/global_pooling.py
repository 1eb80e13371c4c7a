"""One value per channel, of the whole map or of a fixed number of parts of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gristmill.incremental.graph.operator import Global, Operator, Shape, cut, extent
from gristmill.incremental.kernels.native.mean import mean
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle


class GlobalPooling(Global):
    """The mean or the largest value of each channel.

    Computed anew from the whole map on every change: adding differences to the last mean would
    cost less, and drift.

    Args:
        kind: "mean" or "max".
        keep: whether the result is a map of one pixel; else it is a vector.
    """

    def __init__(self, kind: Literal["mean", "max"], keep: bool) -> None:
        self._kind, self._keep = kind, keep

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean."""
        return self._kind == "mean"

    @property
    def title(self) -> str:
        """Which."""
        return f"global {self._kind}"

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output."""
        channels = inputs[0][0]
        return (channels, 1, 1) if self._keep else (channels,)

    def run(self, *inputs: Tensor) -> Tensor:
        """Pool everything."""
        values = inputs[0]
        found = mean(values) if self._kind == "mean" else values.amax((2, 3))
        # A pixel's channels side by side, as channels-last memory has them.
        return found[:, None, None].permute(0, 3, 1, 2) if self._keep else found

    def flops(self, region: Rectangle, shapes: Sequence[Shape]) -> int:
        """One for each element that is read."""
        channels, height, width = shapes[0]
        return channels * height * width if not region.empty else 0


class AdaptivePooling(Operator):
    """A map cut into a fixed number of parts, which may overlap; each part's mean or largest value.

    Part i of n along an axis of length L is [⌊i·L / n⌋, ⌈(i + 1)·L / n⌉).

    Args:
        kind: "mean" or "max".
        size: parts along the height and the width.
    """

    def __init__(self, kind: Literal["mean", "max"], size: tuple[int, int]) -> None:
        self._kind, self._size = kind, size

    @property
    def title(self) -> str:
        """Which, and how many parts."""
        return f"adaptive {self._kind} {self._size[0]}x{self._size[1]}"

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output."""
        return (inputs[0][0], *self._size)

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """The parts that hold a changed pixel."""
        if changed.empty:
            return EMPTY
        height, width = extent(shapes[0])
        top, bottom = _holding(changed.top, changed.bottom, height, self._size[0])
        left, right = _holding(changed.left, changed.right, width, self._size[1])
        return Rectangle(top, left, bottom, right)

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The region's parts."""
        return [EMPTY if region.empty else self._parts(region, *extent(shapes[0]))]

    def run(self, *inputs: Tensor) -> Tensor:
        """Pool everything."""
        return self._pooled(inputs[0], self._size)

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Pool the region's parts one by one."""
        values = inputs[0]
        found = values.new_empty((1, region.height, region.width, values.shape[1]))
        for row in range(region.top, region.bottom):
            for column in range(region.left, region.right):
                pixel = Rectangle(row, column, row + 1, column + 1)
                part = cut(values, self._parts(pixel, *values.shape[2:]))
                pooled = self._pooled(part, (1, 1))
                found[0, row - region.top, column - region.left] = pooled[0, :, 0, 0]
        return found.permute(0, 3, 1, 2)

    def flops(self, region: Rectangle, shapes: Sequence[Shape]) -> int:
        """One for each element that is read."""
        return self.needed(region, shapes)[0].area * shapes[0][0]

    def _parts(self, region: Rectangle, height: int, width: int) -> Rectangle:
        rows, columns = self._size
        return Rectangle(
            region.top * height // rows,
            region.left * width // columns,
            -(-region.bottom * height // rows),
            -(-region.right * width // columns),
        )

    def _pooled(self, values: Tensor, size: tuple[int, int]) -> Tensor:
        # Not the public function: for one part it takes another path, which rounds otherwise.
        if self._kind == "mean":
            found = torch.ops.aten._adaptive_avg_pool2d.default(values, size)
        else:
            found = torch.ops.aten.adaptive_max_pool2d.default(values, size)[0]
        pooled: Tensor = found.contiguous(memory_format=torch.channels_last)
        return pooled


def _holding(begin: int, end: int, length: int, parts: int) -> tuple[int, int]:
    """From the first to the last part that holds one of [begin, end)."""
    first = next(i for i in range(parts) if -(-(i + 1) * length // parts) > begin)
    last = next(i for i in reversed(range(parts)) if i * length // parts < end)
    return first, last + 1
