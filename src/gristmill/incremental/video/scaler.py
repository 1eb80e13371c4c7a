"""Pictures brought to the size that a network takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.video.library import pyav


class Scaler:
    """Scales pictures to one size, each pixel the mean of the area that it stands for.

    Height and width are scaled each on their own: a picture of another shape is stretched.

    Args:
        height: in pixels.
        width: in pixels.

    Raises:
        UsageError: PyAV isn't installed.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width
        self._frame = pyav().VideoFrame
        self._reformatter = pyav().video.reformatter.VideoReformatter()

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture, uint8[height, width, 3], in that size; itself if it has it."""
        if image.shape[:2] == self._size:
            return image
        height, width = self._size
        frame = self._frame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        scaled = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="AREA", threads=1
        )
        return np.asarray(scaled.to_ndarray(), np.uint8)
