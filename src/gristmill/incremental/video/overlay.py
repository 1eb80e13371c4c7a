"""Rectangles drawn into frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.regions.rectangle import Rectangle

RED = (255, 48, 48)


def outlined(
    image: NDArray[np.uint8],
    rectangles: Iterable[Rectangle],
    *,
    colour: tuple[int, int, int] = RED,
    thickness: int = 2,
) -> NDArray[np.uint8]:
    """Draw the borders of rectangles, on their inner side, into a copy of a frame.

    Args:
        image: uint8[height, width, 3].
        rectangles: in pixels; what lies outside the frame is left out.
        colour: red, green, blue.
        thickness: of the lines, in pixels.

    Returns:
        uint8[height, width, 3].
    """
    drawn = image.copy()
    height, width = image.shape[:2]
    for rectangle in rectangles:
        top, left, bottom, right = rectangle.clipped(height, width)
        part = drawn[top:bottom, left:right]
        part[:thickness] = colour
        part[-thickness:] = colour
        part[:, :thickness] = colour
        part[:, -thickness:] = colour
    return drawn
