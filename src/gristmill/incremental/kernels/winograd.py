"""3x3 convolutions with a quarter of the products: minimal filtering, F(4x4, 3x3).

Four by four outputs are made of six by six inputs. Transformed into 36 numbers each, tile and
window are multiplied number by number and added up over the channels: 36 products a channel instead
of 144 (Winograd 1980; Lavin and Gray 2016). How a transformation rounds depends on the points at
which it evaluates polynomials: with 0, ±1/√2, ±√2 and infinity results are as far from the true
ones as those of a direct convolution, about 1e-6. They are not its bits.

The products are done by a packed kernel of 1x1 windows in one call, each number's channels a group.
The transformations are sums of rows with factors, which is what embedding bags are: PyTorch makes a
kernel for them that keeps a row's sum in registers. It adds each row up by itself, in the order
given, so a tile's numbers do not depend on the tiles beside it.
"""

from __future__ import annotations

import math
from functools import cache, cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.combination import Combination
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.packed import agrees, kernel_for
from gristmill.incremental.kernels.tile_grid import READ, SIDE, TileGrid

_NUMBERS = READ**2
_POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0), -math.sqrt(2.0))
_GAIN = 0.95
_INTO, _BACK = 5200.0, 2500.0
"""What a channel of a tile costs to gather and transform, in a direct convolution's operations."""
_WEIGHT = 32.0
"""What a weight costs to read, likewise."""
_TILES = 128
"""Tiles of a call: what is made of them stays in the cache, and weights are read seldom."""
_STEPS = 8


class WinogradKernel:
    """A convolution that `fits`, tile by tile.

    Args:
        layer: its numbers.
    """

    def __init__(self, layer: Layer) -> None:
        back, into, window = _transformations()
        weight = np.einsum("ij,ocjk,lk->iloc", window, layer.weight.double().numpy(), window)
        products = torch.from_numpy(weight).float().reshape(-1, layer.weight.shape[1], 1, 1)
        self._products = Layer(products, groups=_NUMBERS)
        self._multiply = kernel_for(self._products)
        self._into, self._back = Combination(np.kron(into, into)), Combination(np.kron(back, back))
        self._bias, self._activation = layer.bias, layer.activation
        self.most = max(_TILES, layer.weight.shape[0] // 2)

    def __call__(self, tiles: Tensor) -> Tensor:
        """Convolve tiles.

        Args:
            tiles: [tiles, inputs, READ, READ] in channels-last memory.

        Returns:
            [tiles, outputs, SIDE, SIDE] in channels-last memory.
        """
        count, channels = tiles.shape[:2]
        given = self._into(tiles.permute(0, 2, 3, 1).reshape(-1, channels))
        return self._finished(given, count).view(count, SIDE, SIDE, -1).permute(0, 3, 1, 2)

    def rows(self, pixels: Tensor, grid: TileGrid, tiles: Tensor) -> Tensor:
        """Convolve tiles of a map.

        Args:
            pixels: [pixels, inputs] of the map.
            grid: its tiles.
            tiles: int64 [tiles], numbers of those that are wanted; `most` at most.

        Returns:
            [tiles * SIDE * SIDE, outputs], one tile after the other.
        """
        count = len(tiles)
        # oneDNN prepares a kernel for every number of tiles: few of them only.
        step = max(1, (1 << count.bit_length()) // (2 * _STEPS))
        spare = -count % step
        if spare:
            tiles = torch.cat([tiles, tiles[:1].expand(spare)])
        indices, factors = grid.reads(tiles, self._into)
        given = self._into.of(pixels, indices, factors)
        return self._finished(given, count + spare)[: count * SIDE * SIDE]

    @cached_property
    def exact(self) -> bool:
        """Whether a tile's values do not depend on how many are computed with it."""
        return _combinations_agree() and agrees(
            self._multiply, self._products, (1, self.most), (0, 0)
        )

    def _finished(self, given: Tensor, count: int) -> Tensor:
        # All numbers of a tile as the channels of one pixel.
        sums = self._multiply(given.view(1, 1, count, -1).permute(0, 3, 1, 2))
        found = self._back(sums.permute(0, 2, 3, 1).reshape(count * _NUMBERS, -1))
        if self._bias is not None:
            found.add_(self._bias)
        return found if self._activation is None else self._activation.apply_(found)


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


@cache
def _combinations_agree() -> bool:
    """Whether a row of a combination has the same bits alone and among others."""
    _, into, _ = _transformations()
    combination = Combination(np.kron(into, into))
    drawn = torch.randn((5 * _NUMBERS, 40), generator=torch.Generator().manual_seed(0))
    together = combination(drawn)
    return all(
        torch.equal(combination(part), whole)
        for part, whole in zip(drawn.split(_NUMBERS), together.split(_NUMBERS), strict=True)
    )


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
