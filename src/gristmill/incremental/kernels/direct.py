"""Convolutions pixel by pixel in C, without a copy of what they read."""

from __future__ import annotations

from torch import Tensor

from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.chain import Chain, Link
from gristmill.incremental.kernels.native.convolution import NativeConvolution
from gristmill.incremental.regions.rectangle import Rectangle


class DirectKernel:
    """A convolution in C that `native.convolution.fits`; its tensors are on the CPU.

    A pixel is added up in one order by how the kernel is written, whatever the map's size.

    Args:
        layer: its numbers.

    Attributes:
        convolution: for chains of several.
    """

    exact = True
    maker = "C"

    def __init__(self, layer: Layer) -> None:
        self.convolution = NativeConvolution(layer)
        self._layer = layer
        self._chains: dict[tuple[int, int], Chain] = {}

    def __call__(self, values: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve; see `Kernel`."""
        layer = self._layer
        height, width = (
            (length + 2 * around - span) // stride + 1
            for length, around, span, stride in zip(
                values.shape[2:], padding, layer.span, layer.stride, strict=True
            )
        )
        chain = self._chains.get(padding)
        if chain is None:  # a lone convolution's results may have any size
            chain = self._chains[padding] = Chain([Link(self.convolution, padding, (0, 0))])
        pixels = values.new_empty((len(values), height, width, len(layer.weight)))
        found = pixels.permute(0, 3, 1, 2)
        chain.write([Rectangle.whole(height, width)], values, found)
        return found
