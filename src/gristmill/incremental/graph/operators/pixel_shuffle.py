"""Channels turned into pixels, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Operator, Shape, cut, extent
from gristmill.incremental.regions.rectangle import Rectangle


class PixelShuffle(Operator):
    """Each pixel becomes a square of `factor` by `factor`, of its own channels."""

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output."""
        channels, height, width = inputs[0]
        factor = self._factor
        return channels // factor**2, height * factor, width * factor

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """The squares of what changed."""
        return _grown(changed, self._factor).clipped(*extent(self.shape(*shapes)))

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The pixels whose squares the region touches."""
        return [_shrunk(region, self._factor).clipped(*extent(shapes[0]))]

    def run(self, *inputs: Tensor) -> Tensor:
        """Spread everything."""
        return self._spread(inputs[0])

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Spread the pixels whose squares the region touches, and cut it out."""
        read = _shrunk(region, self._factor)
        return _inside(self._spread(cut(inputs[0], read)), region, _grown(read, self._factor))

    def _spread(self, values: Tensor) -> Tensor:
        found = functional.pixel_shuffle(values, self._factor)
        return _own_memory(found, values)


class PixelUnshuffle(Operator):
    """Each square of `factor` by `factor` pixels becomes one, with as many times the channels."""

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output.

        Raises:
            UsageError: the map is not made of whole squares.
        """
        channels, height, width = inputs[0]
        factor = self._factor
        if height % factor or width % factor:
            raise UsageError(
                f"expected a height and width that {factor} divides, found {height}x{width}"
            )
        return channels * factor**2, height // factor, width // factor

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """The pixels whose squares changed."""
        return _shrunk(changed, self._factor).clipped(*extent(self.shape(*shapes)))

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The squares."""
        return [_grown(region, self._factor).clipped(*extent(shapes[0]))]

    def run(self, *inputs: Tensor) -> Tensor:
        """Gather everything."""
        return self._gathered(inputs[0])

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Gather the region's squares."""
        return self._gathered(cut(inputs[0], _grown(region, self._factor)))

    def _gathered(self, values: Tensor) -> Tensor:
        return _own_memory(functional.pixel_unshuffle(values, self._factor), values)


def _grown(region: Rectangle, factor: int) -> Rectangle:
    return Rectangle(*(side * factor for side in region))


def _shrunk(region: Rectangle, factor: int) -> Rectangle:
    top, left, bottom, right = region
    return Rectangle(top // factor, left // factor, -(-bottom // factor), -(-right // factor))


def _inside(values: Tensor, region: Rectangle, covered: Rectangle) -> Tensor:
    """The region's part of values that cover a larger rectangle."""
    if region == covered:
        return values
    rows, columns = covered.top, covered.left
    inner = Rectangle(
        region.top - rows, region.left - columns, region.bottom - rows, region.right - columns
    )
    return cut(values, inner).contiguous(memory_format=torch.channels_last)


def _own_memory(found: Tensor, values: Tensor) -> Tensor:
    """The result in channels-last memory of its own: with a factor of 1 it is the input itself."""
    if found.data_ptr() == values.data_ptr():
        return found.clone(memory_format=torch.channels_last)
    return found.contiguous(memory_format=torch.channels_last)
