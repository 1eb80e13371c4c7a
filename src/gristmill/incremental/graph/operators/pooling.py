"""Poolings over sliding windows."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.graph.operators.windowed import Windowed
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle


class MaxPooling(Windowed):
    """The largest value of each window and channel; padding never counts.

    Args:
        rows: the window along the height.
        columns: the window along the width.
        ceil: whether windows that run over the far edge count.
    """

    fill = -math.inf

    def __init__(self, rows: Window, columns: Window, ceil: bool = False) -> None:
        super().__init__(rows, columns, (rows.padding, columns.padding), ceil)

    @property
    def halves(self) -> bool:
        """Whether it makes a pixel of every 2x2, and leaves out an odd row or column."""
        return self.rows == self.columns == Window(2, 2) and not self.ceil

    def run(self, *inputs: Tensor) -> Tensor:
        """Pool the whole map."""
        padding = (self.rows.padding, self.columns.padding)
        return self._pooled(inputs[0], padding, self.ceil)

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Pool what the region's windows read."""
        return self._pooled(self.read_values(region, inputs[0], self.fill), (0, 0), False)

    def run_windows(self, *windows: Tensor) -> Tensor:
        """Pool them without padding."""
        return self._pooled(windows[0], (0, 0), False)

    def _pooled(self, values: Tensor, padding: tuple[int, int], ceil: bool) -> Tensor:
        rows, columns = self.rows, self.columns
        found = functional.max_pool2d(
            values,
            (rows.kernel, columns.kernel),
            (rows.stride, columns.stride),
            padding,
            (rows.dilation, columns.dilation),
            ceil,
        )
        return found.contiguous(memory_format=torch.channels_last)


class AveragePooling(Windowed):
    """The mean of each window and channel.

    Args:
        rows: the window along the height.
        columns: the window along the width.
        ceil: whether windows that run over the far edge count.
        count_padding: whether zeros of the padding count in the number that sums are divided by.
        divisor: what sums are divided by instead, None for the number of pixels.
    """

    def __init__(
        self,
        rows: Window,
        columns: Window,
        ceil: bool = False,
        count_padding: bool = True,
        divisor: int | None = None,
    ) -> None:
        super().__init__(rows, columns, (rows.padding, columns.padding), ceil)
        self.count_padding, self.divisor = count_padding, divisor
        # Else what a sum is divided by depends on where its window lies.
        padded = rows.padding > 0 or columns.padding > 0
        self.batched = divisor is not None or (not ceil and (count_padding or not padded))

    def run(self, *inputs: Tensor) -> Tensor:
        """Pool the whole map."""
        rows, columns = self.rows, self.columns
        found = functional.avg_pool2d(
            inputs[0],
            (rows.kernel, columns.kernel),
            (rows.stride, columns.stride),
            (rows.padding, columns.padding),
            self.ceil,
            self.count_padding,
            self.divisor,
        )
        return found.contiguous(memory_format=torch.channels_last)

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Add up what the region's windows read, and divide as the whole map's would."""
        values = self.read_values(region, inputs[0], self.fill)
        divisors = self._divisors(region, inputs[0])
        found = self._means(values, divisors if isinstance(divisors, int) else 1)
        return found if isinstance(divisors, int) else found.div_(divisors)

    def run_windows(self, *windows: Tensor) -> Tensor:
        """Add them up, and divide by the one number that counts everywhere."""
        return self._means(windows[0], self.divisor or self.rows.kernel * self.columns.kernel)

    def _means(self, values: Tensor, divisor: int) -> Tensor:
        rows, columns = self.rows, self.columns
        return functional.avg_pool2d(
            values,
            (rows.kernel, columns.kernel),
            (rows.stride, columns.stride),
            divisor_override=divisor,
        ).contiguous(memory_format=torch.channels_last)

    def _divisors(self, region: Rectangle, values: Tensor) -> int | Tensor:
        """What the sums of a region are divided by: one number, or one for each pixel."""
        if self.divisor is not None:
            return self.divisor
        height, width = values.shape[2:]
        down = self._counts(region.top, region.bottom, self.rows, height)
        across = self._counts(region.left, region.right, self.columns, width)
        if min(down) == max(down) and min(across) == max(across):
            return down[0] * across[0]
        return values.new_tensor(down)[:, None] * values.new_tensor(across)

    def _counts(self, lo: int, hi: int, window: Window, length: int) -> list[int]:
        """Pixels that count in the windows of outputs lo to hi − 1, along one axis."""
        begin, end = (-window.padding, length + window.padding)
        near, far = (begin, end) if self.count_padding else (0, length)
        starts = [output * window.stride - window.padding for output in range(lo, hi)]
        return [min(start + window.kernel, end, far) - max(start, near) for start in starts]
