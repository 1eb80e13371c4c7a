"""3x3 convolutions with a quarter of the products: minimal filtering, F(4x4, 3x3).

Four by four outputs are made of six by six inputs. Transformed into 36 numbers each, tile and
window are multiplied number by number and added up over the channels: 36 products a channel instead
of 144 (Winograd 1980; Lavin and Gray 2016). How a transformation rounds depends on the points at
which it evaluates polynomials: with 0, ±1/√2, ±√2 and infinity results are as far from the true
ones as those of a direct convolution, about 1e-6. They are not its bits.

The products are done by packed 1x1 kernels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.packed import kernel_for

_OUT, _IN = 4, 6
"""Side of what a tile gives, and of what it is made of."""
_NUMBERS = _IN**2
_POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0), -math.sqrt(2.0))
_GAIN = 0.8
_MOVED, _CALLED = 60.0, 5e6
"""What a number of a tile and a call cost beside their products, in floating-point operations."""


class WinogradKernel:
    """A convolution that `fits`, by tiles.

    Args:
        layer: its numbers.
    """

    exact = False

    def __init__(self, layer: Layer) -> None:
        back, into, window = _transformations()
        weight = np.einsum("ij,ocjk,lk->iloc", window, layer.weight.double().numpy(), window)
        parts = torch.from_numpy(weight).float().reshape(_NUMBERS, *layer.weight.shape[:2], 1, 1)
        self._products = [kernel_for(Layer(part.contiguous())) for part in parts]
        self._into = torch.from_numpy(np.kron(into, into)).float()
        self._back = torch.from_numpy(np.kron(back, back)).float()
        self._bias, self._activation = layer.bias, layer.activation

    def __call__(self, values: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve maps [frames, channels, height, width]; otherwise as `Kernel` says."""
        frames, channels, height, width = values.shape
        rows, columns = (height + 2 * padding[0] - 2), (width + 2 * padding[1] - 2)
        down, across = -(-rows // _OUT), -(-columns // _OUT)
        tiles = frames * down * across
        pixels = values.permute(0, 2, 3, 1)
        far = [_OUT * count + 2 - size for count, size in ((across, width), (down, height))]
        sides = (0, 0, padding[1], far[0] - padding[1], padding[0], far[1] - padding[0])
        pixels = functional.pad(pixels, sides).contiguous()
        frame, row, column, _ = pixels.stride()
        read = pixels.as_strided(
            (_IN, _IN, frames, down, across, channels),
            (row, column, frame, _OUT * row, _OUT * column, 1),
        )
        given = (self._into @ read.reshape(_NUMBERS, -1)).view(_NUMBERS, 1, 1, tiles, channels)
        sums = torch.stack(
            [
                product(each.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
                for product, each in zip(self._products, given, strict=True)
            ]
        )
        found = (self._back @ sums.view(_NUMBERS, -1)).view(_OUT, _OUT, frames, down, across, -1)
        found = found.permute(2, 3, 0, 4, 1, 5).reshape(frames, _OUT * down, _OUT * across, -1)
        found = found[:, :rows, :columns].contiguous()
        if self._bias is not None:
            found.add_(self._bias)
        if self._activation is not None:
            found = self._activation.apply_(found)
        return found.permute(0, 3, 1, 2)


def fits(layer: Layer) -> bool:
    """Whether a layer can be computed by tiles: 3x3, one pixel after another, all channels."""
    whole = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    return whole and tuple(layer.weight.shape[2:]) == (3, 3) and layer.weight.device.type == "cpu"


def pays(layer: Layer, frames: int, height: int, width: int) -> bool:
    """Whether tiles take clearly less time than a direct convolution.

    Args:
        layer: one that `fits`.
        frames: in a call.
        height: of the outputs.
        width: of the outputs.
    """
    outputs, inputs = layer.weight.shape[:2]
    direct = 18.0 * frames * height * width * inputs * outputs
    tiles = frames * -(-height // _OUT) * -(-width // _OUT)
    transforms = 2.0 * (_NUMBERS * inputs + _OUT**2 * outputs) * _NUMBERS * tiles
    moved = _MOVED * (inputs + outputs) * _NUMBERS * tiles
    products = 2.0 * _NUMBERS * tiles * inputs * outputs
    return 1.25 * products + 2 * transforms + moved + _NUMBERS * _CALLED < _GAIN * direct


def _transformations() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of sums to outputs [4, 6], of a tile to numbers [6, 6], and of a window to numbers [6, 3].

    By Toom and Cook: outputs and windows are polynomials, evaluated at the points; the last one is
    infinity, where the highest power alone counts.
    """

    def evaluated(powers: int) -> NDArray[np.float64]:
        highest = np.eye(powers)[-1:]
        return np.vstack([np.vander(_POINTS, powers, increasing=True), highest])

    into = np.linalg.inv(evaluated(_IN)).T
    # Rows of about one size; powers of two cost no bits.
    scale = 2.0 ** np.round(np.log2(np.linalg.norm(into, axis=1, keepdims=True)))
    return evaluated(_OUT).T, into / scale, evaluated(3) * scale
