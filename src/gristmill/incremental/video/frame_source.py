"""What every source of frames has in common: numbers, times, counts, and closing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.closing import Closing
from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video.frame import Frame

Picture: TypeAlias = tuple[float, NDArray[np.uint8]]


class FrameSource(Closing):
    """Frames in their order, to be gone through once; one of them is in memory at a time.

    A frame that can't be decoded is left out and counted. Where the stream breaks off, the frames
    end, and `fault` says why. The source closes itself at the end of the loop over it and, in a
    `with` block, however the block is left; a thread must not close it under another that reads.

    Args:
        name: for messages: a path or an address.

    Attributes:
        name: as given.
        rate: frames a second as the source states them; None where it doesn't.
        expected: how many frames it announces; None where it doesn't.
        live: whether it shows what happens now and goes on without an end.
        dropped: how many frames couldn't be decoded so far.
        missing: how many of the frames that it announces had not come when it ended.
        resizes: how often the frames have changed their size so far.
        fault: why the frames ended before the end; None if they haven't.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rate: float | None = None
        self.expected: int | None = None
        self.live = False
        self.dropped = 0
        self.missing = 0
        self.resizes = 0
        self.fault: str | None = None
        self._begun = False

    def __iter__(self) -> Iterator[Frame]:
        """Go through the frames.

        Raises:
            UsageError: somebody has begun to do so before.
            DataError: there is not a single frame that can be decoded.
        """
        if self._begun:
            raise UsageError(
                "the frames were read before, and come only once",
                where=self.name, fix="open it again",
            )  # fmt: skip
        self._begun = True
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        size = None
        index = 0
        try:
            for seconds, image in self._pictures():
                resized = size not in (None, image.shape)
                self.resizes += resized
                size = image.shape
                yield Frame(index, seconds, image, resized)
                index += 1
            self.missing = self._to_come(index)
        finally:
            self.close()
        if index == 0:
            why = f": {self.fault}" if self.fault else ""
            raise DataError(
                f"not a single frame could be decoded, of {self.dropped} tried{why}",
                where=self.name,
            )

    def _to_come(self, shown: int) -> int:
        """Return how many frames that were announced have not come, of which `shown` were shown."""
        return max(0, (self.expected or 0) - shown - self.dropped)

    @abstractmethod
    def _pictures(self) -> Iterator[Picture]:
        """Yield seconds since the beginning and the picture, uint8[height, width, 3]."""
