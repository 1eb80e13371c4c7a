"""What finds changes: a stream's reference, and the rule applied to it and the next frame."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.changes.input_error import InputError


class Finder(Protocol):
    """Marks the tiles of a frame to which the rule of noise applies, and renews those alone."""

    @property
    def reference(self) -> NDArray[np.uint8]:
        """What frames are compared with, uint8[height, width, 3]."""

    @property
    def marked(self) -> int:
        """How many tiles the last frame has changed; of one that was taken, all."""

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Take a frame, uint8[height, width, 3], as the reference."""

    def error(self) -> InputError:
        """Compare the reference with the last frame."""

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mark what has changed, bool[rows, columns] of tiles, and renew the reference there.

        Args:
            frame: uint8[height, width, 3]; it isn't kept.
        """
