"""From the grey levels of a picture to the numbers that a network is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.kernels.native import levels
from gristmill.incremental.regions.rectangle import Rectangle

_CHANNELS = 3


@dataclass(frozen=True)
class Pixels:
    """A level becomes (level - mean) / deviation, channel by channel and pixel by pixel.

    Args:
        mean: of red, green and blue, in levels of 0 to 255.
        deviation: of each, above 0. By default levels become numbers of 0 to 1.

    Raises:
        UsageError: not three numbers each, or a deviation that is not above 0.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        for name, found in (("mean", self.mean), ("deviation", self.deviation)):
            if len(found) != _CHANNELS or not np.isfinite(found).all():
                raise UsageError(f"expected three numbers for {name}, found {found}")
        if min(self.deviation) <= 0:
            raise UsageError(f"expected deviations above 0, found {self.deviation}")

    def frame(self, image: NDArray[np.uint8]) -> Tensor:
        """Return a picture, uint8[height, width, 3], as float32 [1, 3, height, width]."""
        height, width = image.shape[:2]
        made = torch.empty((1, _CHANNELS, height, width), memory_format=torch.channels_last)
        self.write(image, [Rectangle.whole(height, width)], made)
        return made

    def image(self, frame: Tensor) -> NDArray[np.uint8]:
        """Return the picture, uint8[height, width, 3], that a frame was made of, if `reversible`.

        Args:
            frame: float32 [1, 3, height, width].
        """
        numbers = frame[0].permute(1, 2, 0).numpy()
        mean, deviation = self._scale
        with np.errstate(over="ignore", invalid="ignore"):
            levels: NDArray[np.float32] = np.rint(numbers * deviation + mean)
            return levels.astype(np.uint8)

    @cached_property
    def reversible(self) -> bool:
        """Whether `image` finds every level: not if they are lost beside a mean far from them."""
        levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(_CHANNELS, 2)
        return np.array_equal(self.image(self.frame(levels)), levels)

    @cached_property
    def _scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.asarray(self.mean, np.float32), np.asarray(self.deviation, np.float32)

    def write(
        self, image: NDArray[np.uint8], rectangles: Iterable[Rectangle], frame: Tensor
    ) -> None:
        """Write rectangles of a picture into a frame, to the bits that `frame` gives there.

        Args:
            image: uint8[height, width, 3].
            rectangles: of it.
            frame: float32 [1, 3, height, width] in channels-last memory.
        """
        mean, deviation = self._scale
        if levels.fits(image, frame):
            levels.scale(image, [*rectangles], frame, mean, deviation)
            return
        numbers = frame[0].permute(1, 2, 0).numpy()
        for top, left, bottom, right in rectangles:
            place = numbers[top:bottom, left:right]
            np.subtract(image[top:bottom, left:right], mean, out=place)
            np.divide(place, deviation, out=place)
