"""A map's results divided into tiles, each made of the pixels around it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.incremental.kernels.combination import Combination

SIDE, READ = 4, 6
"""Side of what a tile gives, and of what it is made of, in pixels."""


class TileGrid:
    """The tiles of a 3x3 convolution's results, from the top left corner on, row after row.

    Args:
        height: of the map that is read.
        width: of it.
        before: zeros above it and to its left, 2 at most.
        after: zeros below it and to its right, 2 at most.

    Attributes:
        size: height and width of the results' map.
    """

    def __init__(
        self, height: int, width: int, before: tuple[int, int], after: tuple[int, int]
    ) -> None:
        border = READ - SIDE
        self.size = height + before[0] + after[0] - border, width + before[1] + after[1] - border
        self._read = height, width
        self._before = before
        self._shape = -(-self.size[0] // SIDE), -(-self.size[1] // SIDE)
        self._tables: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        down, across = np.arange(self.size[0]), np.arange(self.size[1])
        self._tile_rows, self._tile_columns = down // SIDE, across // SIDE
        self._within = (down % SIDE * SIDE)[:, None] + across % SIDE
        self._places = self._pixels()
        self._ragged = bool((self._places < 0).any())

    @property
    def count(self) -> int:
        """Number of the tiles."""
        return self._shape[0] * self._shape[1]

    def touched(self, regions: Iterable[tuple[int, int, int, int]]) -> NDArray[np.int64]:
        """Numbers of the tiles that have pixels in some regions of the results, growing.

        Args:
            regions: (top, left, bottom, right) of each.
        """
        mask = np.zeros(self._shape, np.bool_)
        for top, left, bottom, right in regions:
            mask[top // SIDE : -(-bottom // SIDE), left // SIDE : -(-right // SIDE)] = True
        return np.flatnonzero(mask)

    def reads(self, tiles: Tensor, combination: Combination) -> tuple[Tensor, Tensor]:
        """What a combination of tiles' pixels is made of.

        Args:
            tiles: int64 [tiles], their numbers.
            combination: of READ x READ pixels; always the same.

        Returns:
            Numbers of the map's pixels, int32 [tiles * terms], and their factors. What lies beyond
            the map has the factor 0, and the number of the nearest pixel.
        """
        if self._tables is None:
            self._tables = self._made(combination)
        begins, columns, factors, inside = self._tables
        down = torch.div(tiles, self._shape[1], rounding_mode="floor")
        across = tiles - down * self._shape[1]
        indices = begins.index_select(0, down).add_(columns.index_select(0, across))
        weights = factors.index_select(0, down).mul_(inside.index_select(0, across))
        return indices.view(-1), weights.view(-1)

    def write(self, found: Tensor, tiles: Tensor, rows: Tensor) -> None:
        """Put tiles' results where they belong.

        Args:
            found: [pixels, channels] of the results' map; written.
            tiles: int64 [tiles], their numbers.
            rows: [tiles * SIDE * SIDE, channels].
        """
        places = self._places.index_select(0, tiles).view(-1)
        if self._ragged:
            inside = torch.nonzero(places >= 0).view(-1)
            if len(inside) < len(places):
                places, rows = places.index_select(0, inside), rows.index_select(0, inside)
        found.index_copy_(0, places, rows)

    def rows_of(
        self, region: tuple[int, int, int, int], order: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Where a region's pixels lie among rows of tiles, row after row.

        Args:
            region: (top, left, bottom, right) of the results.
            order: of each tile, which of the computed ones it is.
        """
        top, left, bottom, right = region
        where = order.reshape(self._shape)
        tiles = where[self._tile_rows[top:bottom, None], self._tile_columns[None, left:right]]
        found: NDArray[np.int64] = tiles * SIDE**2 + self._within[top:bottom, left:right]
        return found.reshape(-1)

    def _made(self, combination: Combination) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """By rows of tiles: numbers of the pixels' rows, and factors; likewise by columns."""
        down, across = combination.sources // READ, combination.sources % READ
        (rows, high), (columns, wide) = (_reads(*axis) for axis in zip(
            self._shape, self._read, self._before, strict=True))  # fmt: skip
        return (
            (rows[:, down] * self._read[1]).int(),
            columns[:, across].int(),
            high[:, down] * combination.factors,
            wide[:, across].contiguous(),
        )

    def _pixels(self) -> Tensor:
        """Of each tile's results, the pixel of the map; below 0 beyond it."""
        height, width = self.size
        rows = np.arange(self._shape[0] * SIDE).reshape(-1, 1, SIDE, 1)
        columns = np.arange(self._shape[1] * SIDE).reshape(1, -1, 1, SIDE)
        found = np.where((rows < height) & (columns < width), rows * width + columns, -1)
        return torch.from_numpy(found.reshape(-1, SIDE * SIDE))


def _reads(tiles: int, length: int, before: int) -> tuple[Tensor, Tensor]:
    """Of each tile along an axis, the pixels it reads, and 1 for those that there are, else 0."""
    wanted = torch.arange(tiles)[:, None] * SIDE - before + torch.arange(READ)
    nearest = wanted.clamp(0, length - 1)
    return nearest, (nearest == wanted).float()
