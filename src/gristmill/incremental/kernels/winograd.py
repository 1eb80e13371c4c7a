"""3x3 convolutions with a quarter of the products: minimal filtering, F(4x4, 3x3).

Four by four outputs are made of six by six inputs. Transformed into 36 numbers each, tile and
window are multiplied number by number and added up over the channels: 36 products a channel instead
of 144 (Winograd 1980; Lavin and Gray 2016). How a transformation rounds depends on the points at
which it evaluates polynomials: with 0, ±1/√2, ±√2 and infinity results are as far from the true
ones as those of a direct convolution, about 1e-6. They are not its bits.

Windows are transformed here, once; tiles are in C (`native/winograd.c`). A tile's numbers are added
up in one order, so they do not depend on the tiles beside it.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.large_pages import on_large_pages
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.convolution import bending, bounds, is_known
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.sharing import WORTH, share
from gristmill.incremental.kernels.native.structures import (
    EndingStructure,
    PixelsStructure,
    TiledStructure,
)
from gristmill.incremental.kernels.tile_grid import READ, SIDE

_POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0), -math.sqrt(2.0))
_ZERO = 1e-12
_MULTIPLE = 16
"""Channels are a multiple of it: a whole number of vectors on any machine."""
_GAIN = 0.95
_INTO, _BACK = 2200.0, 1500.0
"""What a channel of a tile costs to transform, in a direct convolution's operations."""
_WEIGHT = 20.0
"""What a weight costs to read, likewise."""
_BLOCK, _LARGE_BLOCK = 24, 96
"""Tiles of a block: what is made of few stays in the cache, for many weights are read seldom."""
_LARGE = 1 << 17
"""Weights of a window's pixel from which on they are no longer in the cache for the next block."""


class Ending(NamedTuple):
    """What becomes of a convolution's results before they are written.

    Args:
        pooled: whether the largest of each 2x2 of them is written; else a map may be added.
        activation: applied to the sum; bounds only.
    """

    pooled: bool = False
    activation: Activation | None = None


PLAIN = Ending()


class WinogradKernel:
    """A convolution that `fits`, tile by tile.

    Args:
        layer: its numbers.

    Attributes:
        outputs: channels of the results.
    """

    def __init__(self, layer: Layer) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `fits` has said so
        self._run = native.winograd
        self.outputs, self._inputs = layer.weight.shape[:2]
        self._block = _LARGE_BLOCK if self.outputs * self._inputs >= _LARGE else _BLOCK
        # Of a tile: a block of them takes as many times as much.
        self._room: int = native.winograd_scratch(ctypes.c_long(1), ctypes.c_long(self._inputs))
        self._weights = _packed(_transformed(layer.weight), native.winograd_panel)
        self._bias = layer.weight.new_zeros(self.outputs) if layer.bias is None else layer.bias
        self._numbers = TiledStructure(
            self._weights.data_ptr(),
            self._bias.data_ptr(),
            *bounds(layer.activation),
            *bending(layer.activation),
        )

    def __call__(self, tiles: Tensor) -> Tensor:
        """Convolve tiles.

        Args:
            tiles: [tiles, inputs, READ, READ] in channels-last memory.

        Returns:
            [tiles, outputs, SIDE, SIDE] in channels-last memory.
        """
        count = len(tiles)
        found = tiles.new_empty((count, SIDE, SIDE, self.outputs))
        places = np.zeros((count, 4), np.int32)
        places[:, 0], places[:, 2] = np.arange(count) * READ, np.arange(count) * SIDE
        read = tiles.permute(0, 2, 3, 1).reshape(count * READ, READ, -1)
        self.write(read, found.view(count * SIDE, SIDE, -1), places)
        return found.permute(0, 3, 1, 2)

    def write(
        self,
        read: Tensor,
        found: Tensor,
        places: NDArray[np.int32],
        origin: tuple[int, int] = (0, 0),
        ending: Ending = PLAIN,
        added: Tensor | None = None,
    ) -> None:
        """Convolve tiles of a map.

        Args:
            read: [height, width, inputs], the map; 0 beyond its edges.
            found: [height, width, outputs], contiguous: a map, or a rectangle of it; written where
                tiles lie in it.
            places: [tiles, 4], of each the row and the column where it begins to read, and where
                its results begin.
            origin: row and column of the map where `found` begins.
            ending: what becomes of the results.
            added: [height, width, outputs], the map that is added to them, if the ending says so.
        """
        read = read.contiguous()
        added = None if added is None else added.contiguous()
        addend = None if added is None else _pixels(added, self.outputs)
        summed = None if addend is None else ctypes.addressof(addend)
        structures = (
            EndingStructure(summed, *bounds(ending.activation), ending.pooled),
            _pixels(read, self._inputs),
            _pixels(found, self.outputs, origin),
        )
        products = READ**2 * self._inputs * self.outputs * len(places)
        threads = torch.get_num_threads() if products >= WORTH else 1
        parts = [places] if threads == 1 else np.array_split(places, threads)
        share(partial(self._call, structures), parts)

    def _call(
        self,
        structures: tuple[EndingStructure, PixelsStructure, PixelsStructure],
        places: NDArray[np.int32],
    ) -> None:
        """Convolve some tiles; `structures` are the ending, what is read and what is written."""
        places = np.ascontiguousarray(places)
        scratch = torch.empty(self._room * min(len(places), self._block))
        self._run(
            ctypes.byref(self._numbers),
            *map(ctypes.byref, structures),
            ctypes.c_void_p(places.ctypes.data),
            ctypes.c_long(len(places)),
            ctypes.c_long(self._block),
            ctypes.c_void_p(scratch.data_ptr()),
        )


def fits(layer: Layer) -> bool:
    """Whether a layer can be computed by tiles: 3x3, one pixel after another, all channels."""
    weight = layer.weight
    whole = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    channels = weight.shape[0] % _MULTIPLE == 0 == weight.shape[1] % _MULTIPLE
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    window = tuple(weight.shape[2:]) == (3, 3)
    return whole and window and channels and is_known(layer.activation) and plain and available()


def pays(layer: Layer, tiles: int, pixels: int) -> bool:
    """Whether tiles take less time than a direct convolution.

    Args:
        layer: one that `fits`.
        tiles: how many there are.
        pixels: that are wanted of them.
    """
    outputs, inputs = layer.weight.shape[:2]
    transforms = (_INTO * inputs + _BACK * outputs) * tiles
    products = READ**2 * inputs * outputs * (2.0 * tiles + _WEIGHT)
    direct = 9 * inputs * outputs * (2.0 * pixels + _WEIGHT)
    return transforms + products < _GAIN * direct


@cache
def available() -> bool:
    """Whether tiles can be computed here, and have the same bits alone and among others."""
    if library() is None:
        return False
    generator = torch.Generator().manual_seed(0)
    outputs = 7 * _MULTIPLE  # a panel and some vectors
    kernel = WinogradKernel(Layer(torch.randn((outputs, _MULTIPLE, 3, 3), generator=generator)))
    tiles = torch.randn((2 * _BLOCK - 1, READ, READ, _MULTIPLE), generator=generator)
    tiles = tiles.permute(0, 3, 1, 2)
    together = kernel(tiles)
    return all(
        torch.equal(kernel(part), whole)
        for count in (1, 2, 3, 4, 5)
        for part, whole in zip(tiles.split(count), together.split(count), strict=True)
    )


def _pixels(values: Tensor, channels: int, origin: tuple[int, int] = (0, 0)) -> PixelsStructure:
    height, width, found = values.shape
    if found != channels or not values.is_contiguous() or values.dtype != torch.float32:
        raise ValueError(f"expected a contiguous map of {channels} channels of float32")
    return PixelsStructure(values.data_ptr(), *origin, height, width, channels)


def _packed(numbers: NDArray[np.float64], panel: Callable[[ctypes.c_long], int]) -> Tensor:
    """Weights in the order in which they are read.

    Args:
        numbers: [numbers, inputs, outputs].
        panel: of the outputs that are left, how many come next.
    """
    parts, begin, outputs = list[NDArray[np.float32]](), 0, numbers.shape[2]
    while begin < outputs:
        end = begin + panel(ctypes.c_long(outputs - begin))
        parts.append(numbers[:, :, begin:end].astype(np.float32).ravel())
        begin = end
    return on_large_pages(torch.from_numpy(np.concatenate(parts)))


def _transformed(weight: Tensor) -> NDArray[np.float64]:
    """Windows [outputs, inputs, 3, 3] as numbers [numbers, inputs, outputs]."""
    window = _transformation()
    found = np.einsum("ij,ocjk,lk->ilco", window, weight.double().numpy(), window, optimize=True)
    numbers: NDArray[np.float64] = found.reshape(READ**2, *found.shape[2:])
    return numbers


def _transformation() -> NDArray[np.float64]:
    """Of a window's row to numbers, [6, 3].

    By Toom and Cook: outputs and windows are polynomials, evaluated at the points; the last one is
    infinity, where the highest power alone counts. The rows that C evaluates tiles by have a 1 at
    their end; what they lack to it is made up for here.
    """

    def evaluated(powers: int) -> NDArray[np.float64]:
        highest = np.eye(powers)[-1:]
        return np.vstack([np.vander(_POINTS, powers, increasing=True), highest])

    tile = np.linalg.inv(evaluated(READ)).T
    last = np.array([row[np.flatnonzero(np.abs(row) > _ZERO)[-1]] for row in tile])
    found: NDArray[np.float64] = evaluated(3) * last[:, None]
    return found
