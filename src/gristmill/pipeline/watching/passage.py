"""Which frames of a video are looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gristmill.core.errors import UsageError
from gristmill.core.quantities import parse_seconds
from gristmill.incremental.video.frame import Frame


@dataclass(frozen=True)
class Moment:
    """A place in a video.

    Args:
        place: number of a frame, from 0, or seconds since the beginning.
        in_seconds: which of the two.
    """

    place: float
    in_seconds: bool = False

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Read `"250"` as frame 250, `"12s"` or `"2 min"` as a time.

        Raises:
            UsageError: it is neither.
        """
        if text.strip().isdecimal():
            return cls(int(text))
        try:
            seconds = parse_seconds(text)
        except UsageError:
            seconds = math.nan
        if not math.isfinite(seconds):
            raise UsageError(
                f"expected a number of frames or a time, found {text!r}",
                fix="give 250 for frame 250, or 12s, 2min, 1h",
            )
        return cls(seconds, in_seconds=True)

    def passed(self, frame: Frame) -> bool:
        """Say whether a frame is at this moment or later."""
        return (frame.seconds if self.in_seconds else frame.index) >= self.place

    def frame(self, rate: float | None) -> int | None:
        """Return the number of the frame, by frames a second; None where that isn't known."""
        if not self.in_seconds:
            return int(self.place)
        return None if rate is None else math.ceil(self.place * rate)


@dataclass(frozen=True)
class Passage:
    """A part of a video, or all of it.

    Args:
        start: of the first frame that is looked at.
        until: of the first one that no longer is; None: the video's end.
        every: one in so many frames is looked at.

    Raises:
        UsageError: it would hold no frame.
    """

    start: Moment = Moment(0)
    until: Moment | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"one in 1 frames or more is looked at, not one in {self.every}")
        until = self.until
        if until is not None and (
            until.place <= 0
            or (until.in_seconds == self.start.in_seconds and until.place <= self.start.place)
        ):
            raise UsageError(
                f"expected an end after the start, found {until.place:g} after {self.start.place:g}"
            )

    def of(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames of a video that are looked at."""
        seen = 0
        for frame in frames:
            if self.until is not None and self.until.passed(frame):
                return
            if self.start.passed(frame):
                if seen % self.every == 0:
                    yield frame
                seen += 1

    def count(self, announced: int | None, rate: float | None) -> int | None:
        """Return how many frames there should be; None where that isn't known.

        Args:
            announced: frames of the video.
            rate: frames a second.
        """
        end = announced
        if self.until is not None:
            until = self.until.frame(rate)
            end = until if end is None else end if until is None else min(end, until)
        start = self.start.frame(rate)
        if end is None or start is None:
            return None
        return max(0, math.ceil((end - start) / self.every))
