"""What finds changes: a stream's reference and its last frame, and the rule applied to them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Finder(Protocol):
    """Marks the tiles of a frame to which the rule of noise applies, and renews those alone."""

    @property
    def frame(self) -> NDArray[np.uint8]:
        """The last frame, uint8[height, width, 3]."""

    @property
    def reference(self) -> NDArray[np.uint8]:
        """What it was compared with, and marked tiles of it: uint8[height, width, 3]."""

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Take a frame, uint8[height, width, 3], as the reference."""

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark what has changed, bool[rows, columns] of tiles, and renew the reference there.

        Args:
            frame: uint8[height, width, 3]; it isn't kept.
        """
