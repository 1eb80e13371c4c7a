"""One frame of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture and when it is shown.

    Attributes:
        index: its number among the frames that could be decoded, from 0.
        seconds: since the video began.
        image: uint8[height, width, 3], red first.
        resized: whether it is of another size than the frame before.
    """

    index: int
    seconds: float
    image: NDArray[np.uint8]
    resized: bool = False
