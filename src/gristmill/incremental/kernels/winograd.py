"""3x3 convolutions with a quarter of the products: minimal filtering, F(4x4, 3x3).

Four by four outputs are made of six by six inputs. Transformed into 36 numbers each, tile and
window are multiplied number by number and added up over the channels: 36 products a channel instead
of 144 (Winograd 1980; Lavin and Gray 2016). How a transformation rounds depends on the points at
which it evaluates polynomials: with 0, ±1/√2, ±√2 and infinity results are as far from the true
ones as those of a direct convolution, about 1e-6. They are not its bits.

The products are done by a packed kernel of 1x1 windows in one call, each number's channels a group.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.packed import kernel_for

SIDE, READ = 4, 6
"""Side of what a tile gives, and of what it is made of, in pixels."""
_NUMBERS = READ**2
_POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0), -math.sqrt(2.0))
_GAIN = 0.95
_INTO, _BACK = 8900.0, 4500.0
"""What a channel of a tile costs to transform, in a direct convolution's operations."""
_WEIGHT = 32.0
"""What a weight costs to read, likewise."""


class WinogradKernel:
    """A convolution that `fits`, tile by tile.

    Args:
        layer: its numbers.
    """

    def __init__(self, layer: Layer) -> None:
        back, into, window = _transformations()
        weight = np.einsum("ij,ocjk,lk->iloc", window, layer.weight.double().numpy(), window)
        products = torch.from_numpy(weight).float().reshape(-1, layer.weight.shape[1], 1, 1)
        self._multiply = kernel_for(Layer(products, groups=_NUMBERS))
        self._into = torch.from_numpy(np.kron(into, into)).float()
        self._back = torch.from_numpy(np.kron(back, back)).float()
        self._bias, self._activation = layer.bias, layer.activation

    def __call__(self, tiles: Tensor) -> Tensor:
        """Convolve tiles.

        Args:
            tiles: [tiles, inputs, READ, READ] in channels-last memory.

        Returns:
            [tiles, outputs, SIDE, SIDE] in channels-last memory.
        """
        count, channels = tiles.shape[:2]
        given = self._into @ tiles.permute(0, 2, 3, 1).reshape(count, _NUMBERS, channels)
        # All numbers of a tile as the channels of one pixel.
        sums = self._multiply(given.view(1, 1, count, -1).permute(0, 3, 1, 2))
        found = self._back @ sums.permute(0, 2, 3, 1).reshape(count, _NUMBERS, -1)
        if self._bias is not None:
            found.add_(self._bias)
        if self._activation is not None:
            found = self._activation.apply_(found)
        return found.view(count, SIDE, SIDE, -1).permute(0, 3, 1, 2)


def fits(layer: Layer) -> bool:
    """Whether a layer can be computed by tiles: 3x3, one pixel after another, all channels."""
    whole = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    return whole and tuple(layer.weight.shape[2:]) == (3, 3) and layer.weight.device.type == "cpu"


def pays(layer: Layer, tiles: int, pixels: int) -> bool:
    """Whether tiles take less time than a direct convolution.

    Args:
        layer: one that `fits`.
        tiles: how many there are.
        pixels: that are wanted of them.
    """
    outputs, inputs = layer.weight.shape[:2]
    transforms = (_INTO * inputs + _BACK * outputs) * tiles
    products = _NUMBERS * inputs * outputs * (2.0 * tiles + _WEIGHT)
    return transforms + products < _GAIN * 18.0 * pixels * inputs * outputs


def _transformations() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of sums to outputs [4, 6], of a tile to numbers [6, 6], and of a window to numbers [6, 3].

    By Toom and Cook: outputs and windows are polynomials, evaluated at the points; the last one is
    infinity, where the highest power alone counts.
    """

    def evaluated(powers: int) -> NDArray[np.float64]:
        highest = np.eye(powers)[-1:]
        return np.vstack([np.vander(_POINTS, powers, increasing=True), highest])

    into = np.linalg.inv(evaluated(READ)).T
    # Rows of about one size; powers of two cost no bits.
    scale = 2.0 ** np.round(np.log2(np.linalg.norm(into, axis=1, keepdims=True)))
    return evaluated(SIDE).T, into / scale, evaluated(3) * scale
