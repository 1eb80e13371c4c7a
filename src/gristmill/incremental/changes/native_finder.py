"""Changes found in C, in one pass over the bytes of a frame."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.changes.input_error import InputError
from gristmill.incremental.changes.noise import Noise
from gristmill.incremental.changes.tiles import TileGrid
from gristmill.incremental.kernels.native.structures import DistanceStructure, NoiseStructure


class NativeFinder:
    """Finds the changes that `ArrayFinder` finds, in a fraction of the time; a `Finder`.

    Args:
        grid: the tiles.
        noise: the rule.
        native: the C functions.
    """

    def __init__(self, grid: TileGrid, noise: Noise, native: ctypes.CDLL) -> None:
        self._tiles = (grid.rows, grid.columns)
        self.reference: NDArray[np.uint8] = np.zeros((grid.height, grid.width, 3), np.uint8)
        self._rule = NoiseStructure(
            height=grid.height,
            width=grid.width,
            tile=grid.tile,
            threshold=noise.threshold,
            pixels=noise.pixels,
            blur=noise.blur,
        )
        self._find = native.find_changes
        native.changes_room.restype = ctypes.c_long
        self._room = np.empty(native.changes_room(ctypes.byref(self._rule)), np.uint8)
        self._distance = DistanceStructure()

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""
        return self.reference.nbytes + self._room.nbytes

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Take a frame, uint8[height, width, 3], as the reference."""
        self.reference[...] = frame
        self._distance = DistanceStructure()

    def error(self) -> InputError:
        """Compare the reference with the last frame."""
        return InputError(self._distance.largest, self._distance.sum / self.reference.size)

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark what has changed, bool[rows, columns] of tiles, and renew the reference there."""
        if frame.strides[1:] != (3, 1):  # rows may lie anywhere, but each in one piece
            frame = np.ascontiguousarray(frame)
        marked = np.empty(self._tiles, np.bool_)
        self._find(
            ctypes.byref(self._rule),
            _address(frame),
            ctypes.c_long(frame.strides[0]),
            _address(self.reference),
            _address(marked),
            ctypes.byref(self._distance),
            _address(self._room),
        )
        return marked


def _address(values: NDArray[np.uint8] | NDArray[np.bool_]) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)
