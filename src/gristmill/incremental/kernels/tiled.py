"""A convolution whose maps are computed tile by tile, some tiles or all, to the same bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from gristmill.incremental.kernels.tile_grid import SIDE, TileGrid
from gristmill.incremental.kernels.winograd import WinogradKernel

Region = tuple[int, int, int, int]
"""Top, left, bottom, right of the results' map."""


class Tiles:
    """Some computed tiles of a map.

    Args:
        grid: the map's.
        numbers: of the tiles.
        rows: [tiles * SIDE * SIDE, channels] of them.
    """

    def __init__(self, grid: TileGrid, numbers: Tensor, rows: Tensor) -> None:
        self._grid, self._rows = grid, rows
        self._order = np.full(grid.count, -1, np.int64)
        self._order[numbers.numpy()] = np.arange(len(numbers))

    def patch(self, region: Region) -> Tensor:
        """Return a region that the tiles cover, [1, channels, height, width]."""
        top, left, bottom, right = region
        numbers = torch.from_numpy(self._grid.rows_of(region, self._order))
        found = self._rows.index_select(0, numbers)
        return found.view(1, bottom - top, right - left, -1).permute(0, 3, 1, 2)


class TiledKernel:
    """A 3x3 convolution of maps by `WinogradKernel`.

    Every tile lies where the whole map has it, and is a function of its own pixels: so are its
    bits. A pixel that changes may alter all of a tile that reads it, if by rounding only.

    Args:
        kernel: computes the tiles.
        channels: of the results.
        before: zeros above maps and to their left, 2 at most.
        after: zeros below maps and to their right, 2 at most.
    """

    def __init__(
        self, kernel: WinogradKernel, channels: int, before: tuple[int, int], after: tuple[int, int]
    ) -> None:
        self._kernel, self._channels = kernel, channels
        self._before, self._after = before, after
        self._grids: dict[tuple[int, int], TileGrid] = {}

    def grid(self, height: int, width: int) -> TileGrid:
        """Return the tiles of maps that are read, of one size."""
        found = self._grids.get((height, width))
        if found is None:
            found = TileGrid(height, width, self._before, self._after)
            self._grids[height, width] = found
        return found

    def whole(self, values: Tensor) -> Tensor:
        """Convolve a map [1, channels, height, width]; return one in channels-last memory."""
        grid = self.grid(*values.shape[2:])
        pixels = values.new_empty((*grid.size, self._channels))
        self._write(pixels, grid, values, torch.arange(grid.count))
        return pixels[None].permute(0, 3, 1, 2)

    def write(self, found: Tensor, values: Tensor, regions: Iterable[Region]) -> None:
        """Bring all tiles up to date that some regions touch.

        Args:
            found: the results' map in channels-last memory; written.
            values: the map that is read.
            regions: of the results.
        """
        grid = self.grid(*values.shape[2:])
        numbers = torch.from_numpy(grid.touched(regions))
        self._write(found.permute(0, 2, 3, 1), grid, values, numbers)

    def tiles(self, values: Tensor, regions: Iterable[Region]) -> Tiles:
        """Compute all tiles that some regions touch.

        Args:
            values: the map that is read.
            regions: of the results.
        """
        grid = self.grid(*values.shape[2:])
        numbers = torch.from_numpy(grid.touched(regions))
        rows = values.new_empty((len(numbers) * SIDE**2, self._channels))
        done = 0
        for _, part in self._parts(grid, values, numbers):
            rows[done : done + len(part)] = part
            done += len(part)
        return Tiles(grid, numbers, rows)

    def _write(self, pixels: Tensor, grid: TileGrid, values: Tensor, numbers: Tensor) -> None:
        pixels = pixels.view(-1, self._channels)
        for some, rows in self._parts(grid, values, numbers):
            grid.write(pixels, some, rows)

    def _parts(
        self, grid: TileGrid, values: Tensor, numbers: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows of some tiles at a time."""
        read = values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])
        for some in numbers.split(self._kernel.most):
            yield some, self._kernel.rows(read, grid, some)
