"""A frame cut into square tiles."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


class TileGrid(NamedTuple):
    """The tiles of a frame of any size; those at the right and the bottom may be cut off.

    Attributes:
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        tile: side of a tile, in pixels.
    """

    height: int
    width: int
    tile: int

    @property
    def rows(self) -> int:
        """How many tiles lie one below the other."""
        return -(-self.height // self.tile)

    @property
    def columns(self) -> int:
        """How many tiles lie side by side."""
        return -(-self.width // self.tile)

    def cut(self, values: NDArray[Number], channels: int) -> NDArray[Number]:
        """View an array as tiles.

        Args:
            values: whole rows of tiles, [rows x tile, columns x tile x channels].
            channels: how many elements a pixel has.

        Returns:
            A view, [rows, columns, tile, tile x channels].
        """
        shape = (len(values) // self.tile, self.tile, self.columns, self.tile * channels)
        return values.reshape(shape).swapaxes(1, 2)

    def blank_outside(
        self, pixels: NDArray[np.bool_], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> None:
        """Unset the pixels of some tiles that lie beyond the frame, in place.

        Args:
            pixels: bool[n, tile, tile].
            rows: of the tiles, [n].
            columns: of the tiles, [n].
        """
        below, beyond = self.height % self.tile, self.width % self.tile
        if below:
            pixels[rows == self.rows - 1, below:] = False
        if beyond:
            pixels[columns == self.columns - 1, :, beyond:] = False
