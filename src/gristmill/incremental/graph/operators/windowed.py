"""What convolutions and poolings share: windows that slide over rows and columns of a map."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Batched, Shape, cut
from gristmill.incremental.regions.interval import Window, needed, reached
from gristmill.incremental.regions.rectangle import Rectangle


class Windowed(Batched):
    """An operator of which each output pixel reads a window of its one input.

    Args:
        rows: the window along the height; its padding is that above the map.
        columns: the window along the width; its padding is that left of the map.
        far: padding below and right of the map.
        ceil: whether a last window that runs over the far edge counts, if it starts before it.
    """

    def __init__(self, rows: Window, columns: Window, far: tuple[int, int], ceil: bool) -> None:
        self.rows, self.columns, self.far, self.ceil = rows, columns, far, ceil
        self._spans = rows.span, columns.span

    def channels(self, channels: int) -> int:
        """Channels of the output."""
        return channels

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output.

        Raises:
            UsageError: the map is smaller than the window.
        """
        channels, height, width = inputs[0]
        sizes = (
            self._outputs(height, self.rows, self.far[0]),
            self._outputs(width, self.columns, self.far[1]),
        )
        if min(sizes) < 1:
            raise UsageError(
                f"expected a map of at least {self.rows.span}x{self.columns.span} with its padding "
                f"(height x width), found {height}x{width}",
                fix="give larger frames",
            )
        return (self.channels(channels), *sizes)

    def _outputs(self, length: int, window: Window, far: int) -> int:
        if not self.ceil:
            return window.outputs(length, far)
        steps = length + window.padding + far - window.span
        count = -(-steps // window.stride) + 1
        # PyTorch leaves out a window that would start in the padding beyond the far edge.
        late = (count - 1) * window.stride >= length + window.padding
        return max(0, count - late)

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Outputs of which the window touches a changed pixel."""
        _, height, width = self.shape(*shapes)
        top, bottom = reached(changed.top, changed.bottom, self.rows, height)
        left, right = reached(changed.left, changed.right, self.columns, width)
        return Rectangle(top, left, bottom, right).clipped(height, width)

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The windows' pixels."""
        return [self.read(region).clipped(*shapes[0][1:])]

    def reads(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """The windows' pixels, padding included."""
        return [self.read(region)]

    def read(self, region: Rectangle) -> Rectangle:
        """What the windows of a region read, padding included."""
        top, bottom = needed(region.top, region.bottom, self.rows)
        left, right = needed(region.left, region.right, self.columns)
        return Rectangle(top, left, bottom, right)

    def read_values(self, region: Rectangle, values: Tensor, fill: float) -> Tensor:
        """Values of what the windows of a region read, `fill` where that is padding."""
        # What `read` and `padded_cut` do, without their objects: rectangles are small and many.
        rows, columns = self.rows, self.columns
        top = region.top * rows.stride - rows.padding
        left = region.left * columns.stride - columns.padding
        height = (region.bottom - region.top - 1) * rows.stride + self._spans[0]
        width = (region.right - region.left - 1) * columns.stride + self._spans[1]
        inside = top >= 0 and left >= 0
        if inside and top + height <= values.size(2) and left + width <= values.size(3):
            return values.narrow(2, top, height).narrow(3, left, width)
        return padded_cut(values, Rectangle(top, left, top + height, left + width), fill)


def padded_cut(values: Tensor, read: Rectangle, fill: float) -> Tensor:
    """Values of a rectangle that may stretch beyond the map, of each frame; `fill` there.

    A view if it doesn't, a tensor in channels-last memory if it does.
    """
    height, width = values.shape[2:]
    inside = read.clipped(height, width)
    part = cut(values, inside)
    if inside == read:
        return part
    # Memory of [frames, height, width, channels], seen as [frames, channels, height, width].
    pixels = values.new_full((len(values), read.height, read.width, values.shape[1]), fill)
    found = pixels.permute(0, 3, 1, 2)
    cut(found, inside.shifted(-read.top, -read.left)).copy_(part)
    return found
