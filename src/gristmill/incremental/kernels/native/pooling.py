"""A max pooling in C, as one of the links of a chain."""

from __future__ import annotations

from typing import Final

from gristmill.incremental.kernels.native.structures import ConvolutionStructure
from gristmill.incremental.regions.interval import Window


class NativePooling:
    """The largest number of each window and channel, NaN where there is one.

    Args:
        channels: of the map.
        rows: the window along the height, without dilation.
        columns: the window along the width, likewise.

    Attributes:
        products: comparisons, of each pixel of the results.
        adds: whether something can be added to its results in the same pass.
        structure: for C: the windows of a convolution; its padding is to be set.
    """

    adds: Final = False

    def __init__(self, channels: int, rows: Window, columns: Window) -> None:
        self.products = channels * rows.kernel * columns.kernel
        self.structure = ConvolutionStructure(
            inputs=channels,
            outputs=channels,
            rows=rows.kernel,
            columns=columns.kernel,
            row_stride=rows.stride,
            column_stride=columns.stride,
            row_dilation=1,
            column_dilation=1,
            depthwise=True,
        )
