"""A convolution whose maps are computed tile by tile, some tiles or all, to the same bits."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from gristmill.incremental.kernels.tile_grid import TileGrid
from gristmill.incremental.kernels.winograd import PLAIN, Ending, WinogradKernel

Region = tuple[int, int, int, int]
"""Top, left, bottom, right of the results' map."""


class TiledKernel:
    """A 3x3 convolution of maps by `WinogradKernel`.

    Every tile lies where the whole map has it, and is a function of its own pixels: so are its
    bits. A pixel that changes may alter all of a tile that reads it, if by rounding only.

    Args:
        kernel: computes the tiles.
        before: zeros above maps and to their left, 2 at most.
        after: zeros below maps and to their right, 2 at most.
        lead: rows of the first tiles that lie above maps, and columns left of them; even, so that
            no 2x2 that are pooled lie in two tiles.
    """

    def __init__(
        self,
        kernel: WinogradKernel,
        before: tuple[int, int],
        after: tuple[int, int],
        lead: int = 0,
    ) -> None:
        self._kernel, self._lead = kernel, lead
        self._before, self._after = before, after
        self._grids: dict[tuple[int, int], TileGrid] = {}

    def grid(self, height: int, width: int) -> TileGrid:
        """Return the tiles of maps that are read, of one size."""
        found = self._grids.get((height, width))
        if found is None:
            found = TileGrid(height, width, self._before, self._after, self._lead)
            self._grids[height, width] = found
        return found

    def region(self, region: Region, values: Tensor) -> Tensor:
        """Convolve what a region of the results takes of a map.

        Args:
            region: of the results.
            values: the map that is read, [1, channels, height, width].

        Returns:
            [1, channels, height, width] in channels-last memory.
        """
        top, left, bottom, right = region
        pixels = values.new_empty((1, bottom - top, right - left, self._kernel.outputs))
        found = pixels.permute(0, 3, 1, 2)
        self.write(found, values, [region], (top, left))
        return found

    def write(
        self,
        found: Tensor,
        values: Tensor,
        regions: Iterable[Region],
        origin: tuple[int, int] = (0, 0),
        ending: Ending = PLAIN,
        added: Tensor | None = None,
    ) -> None:
        """Bring all tiles up to date that some regions touch.

        Args:
            found: the ending's map in channels-last memory, or a rectangle of it; written where
                tiles lie in it.
            values: the map that is read.
            regions: of the convolution's results.
            origin: row and column of the ending's map where `found` begins.
            ending: what becomes of the results.
            added: a map of the results' size, if the ending adds one to them.
        """
        grid = self.grid(*values.shape[2:])
        self._kernel.write(
            _pixels(values),
            _pixels(found),
            grid.places(grid.touched(regions)),
            origin,
            ending,
            None if added is None else _pixels(added),
        )


def _pixels(values: Tensor) -> Tensor:
    """A map [1, channels, height, width] as [height, width, channels]."""
    return values.permute(0, 2, 3, 1)[0]
