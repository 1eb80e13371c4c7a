"""What operators share of which each output pixel is made of the same pixel of each input."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Batched, Shape, extent, whole
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle


class Elementwise(Batched):
    """Each output pixel is made of the same pixel of every input.

    An input of which the height or the width is 1 where the output's is not is spread over it.
    """

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output: each axis that of the inputs which are not spread along it.

        Raises:
            UsageError: two inputs have different sizes.
        """
        longest = max(inputs, key=len)
        for each in inputs:
            if len(each) == len(longest):
                longest = tuple(map(max, longest, each))
        for each in inputs:
            if any(size not in (1, wide) for size, wide in zip(each, longest, strict=False)):
                raise UsageError(
                    f"expected maps of one size, found {' and '.join(str(list(s)) for s in inputs)}"
                    " (channels, height, width)"
                )
        return longest

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """The same pixels; all along an axis that the input is spread over."""
        if changed.empty:
            return EMPTY
        height, width = extent(self.shape(*shapes))
        own_height, own_width = extent(shapes[which])
        top, left, bottom, right = changed
        if own_height != height:
            top, bottom = 0, height
        if own_width != width:
            left, right = 0, width
        return Rectangle(top, left, bottom, right).clipped(height, width)

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The same pixels of each input."""
        return [EMPTY if region.empty else spread(region, shape) for shape in shapes]

    def reads(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The same pixels of each input."""
        return self.needed(region, shapes)

    def run_windows(self, *windows: Tensor) -> Tensor:
        """Combine them as whole maps are."""
        return self.run(*windows)


def spread(region: Rectangle, shape: Shape) -> Rectangle:
    """The pixels of an input that make a region, if it is spread along axes of size 1."""
    height, width = extent(shape)
    top, left, bottom, right = region
    if height == 1:
        top, bottom = 0, 1
    if width == 1:
        left, right = 0, 1
    return Rectangle(top, left, bottom, right).clipped(*extent(shape)) if shape else whole(shape)
