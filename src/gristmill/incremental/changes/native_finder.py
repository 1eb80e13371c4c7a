"""Changes found in C, in one pass over the bytes of a frame."""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from numpy.typing import NDArray

from gristmill.incremental.changes.input_error import InputError
from gristmill.incremental.changes.noise import Noise
from gristmill.incremental.changes.tiles import TileGrid
from gristmill.incremental.kernels.native.pointer import pointer
from gristmill.incremental.kernels.native.structures import DistanceStructure, NoiseStructure


class NativeFinder:
    """Finds the changes that `ArrayFinder` finds, in a fraction of the time; a `Finder`.

    Args:
        grid: the tiles.
        noise: the rule.
        native: the C functions.
    """

    def __init__(self, grid: TileGrid, noise: Noise, native: ctypes.CDLL) -> None:
        # PyTorch's memory begins with a line of the cache, NumPy's anywhere: finding takes a fifth
        # longer where all that is read at once lies in two.
        made = torch.zeros((grid.height, grid.width, 3), dtype=torch.uint8)
        self.reference: NDArray[np.uint8] = made.numpy()
        self._rule = NoiseStructure(
            height=grid.height,
            width=grid.width,
            tile=grid.tile,
            threshold=noise.threshold,
            pixels=noise.pixels,
            blur=noise.blur,
        )
        self._find = native.find_changes
        self._find.restype = ctypes.c_long
        native.changes_room.restype = ctypes.c_long
        self._room = np.empty(native.changes_room(ctypes.byref(self._rule)), np.uint8)
        self._distance = DistanceStructure()
        self._mask = np.empty((grid.rows, grid.columns), np.bool_)
        self.marked = 0
        # Looked up once: beside a small network, a still frame takes no longer than such calls do.
        self._kept = (
            pointer(self.reference),
            pointer(self._mask),
            ctypes.byref(self._distance),
            pointer(self._room),
        )

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""
        return self.reference.nbytes + self._room.nbytes + self._mask.nbytes

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Take a frame, uint8[height, width, 3], as the reference."""
        self.reference[...] = frame
        self._distance.largest = self._distance.sum = 0
        self.marked = self._mask.size

    def error(self) -> InputError:
        """Compare the reference with the last frame."""
        return InputError(self._distance.largest, self._distance.sum / self.reference.size)

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark what has changed, bool[rows, columns] of tiles, and renew the reference there."""
        if frame.strides[1:] != (3, 1):  # rows may lie anywhere, but each in one piece
            frame = np.ascontiguousarray(frame)
        row = ctypes.c_long(frame.strides[0])
        self.marked = self._find(ctypes.byref(self._rule), pointer(frame), row, *self._kept)
        return self._mask.copy()
