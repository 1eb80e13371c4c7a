"""Frames of a video with the places drawn in that were recomputed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.video.overlay import RED, outlined

if TYPE_CHECKING:
    from gristmill.incremental import Answer
    from gristmill.incremental.video.frame import Frame
    from gristmill.incremental.video.writer import VideoWriter

_WHOLE = (255, 200, 0)
_THICKNESS = 240  # a line's share of a frame's height is one in so many


class DrawnChanges:
    """Writes frames: what changed is outlined in red; the border is yellow where all was computed.

    Args:
        writer: takes the frames.
    """

    def __init__(self, writer: VideoWriter) -> None:
        self._writer = writer

    def add(self, frame: Frame, answer: Answer, size: tuple[int, int]) -> None:
        """Write a frame.

        Args:
            frame: as it was decoded.
            answer: to it.
            size: height and width of the picture that the network was given of it.
        """
        height, width = frame.image.shape[:2]
        thickness = max(2, height // _THICKNESS)
        places = [_scaled(place, size, (height, width)) for place in answer.changed.rectangles]
        image = outlined(frame.image, places, colour=RED, thickness=thickness)
        if answer.whole:
            border = [Rectangle.whole(height, width)]
            image = outlined(image, border, colour=_WHOLE, thickness=2 * thickness)
        self._writer.write(image, frame.seconds)


def _scaled(place: Rectangle, size: tuple[int, int], other: tuple[int, int]) -> Rectangle:
    """Return a place of a picture of one size in one of another: all of what it covers."""
    tall, wide = other[0] / size[0], other[1] / size[1]
    return Rectangle(
        int(place.top * tall),
        int(place.left * wide),
        math.ceil(place.bottom * tall),
        math.ceil(place.right * wide),
    )
