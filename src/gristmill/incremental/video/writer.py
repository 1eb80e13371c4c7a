"""Videos written frame by frame, which appear whole or not at all."""

from __future__ import annotations

import fcntl
import glob
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video.library import pyav

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
_CODECS = {"libx264": {"preset": "veryfast", "crf": "21"}, "mpeg4": {"qscale": "4"}}
_CONTAINER = {"fflags": "+bitexact"}  # else Matroska draws numbers: equal frames, other bytes
_TICKS = 1000  # a second: times are kept to the millisecond


class VideoWriter:
    """Takes frames and their times; made by `video_file`.

    The size of the first frame, made even, is that of the video; later frames of other sizes are
    scaled to it.

    Args:
        container: opened for writing.
        rate: frames a second, where no times are given.
    """

    def __init__(self, container: OutputContainer, rate: float) -> None:
        self._container = container
        self._rate = rate
        self._stream: VideoStream | None = None
        self._last = -1
        self.frames = 0

    def write(self, image: NDArray[np.uint8], seconds: float | None = None) -> None:
        """Add a frame.

        Args:
            image: uint8[height, width, 3], red first.
            seconds: when it is shown; None: one frame's time after the frame before. A time that is
                not after that of the frame before is moved behind it.

        Raises:
            UsageError: it isn't such an array.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise UsageError(
                f"a frame is uint8[height, width, 3], found {image.dtype}{list(image.shape)}"
            )
        frame = pyav().VideoFrame.from_ndarray(np.ascontiguousarray(_even(image)), format="rgb24")
        if self._stream is None:
            self._stream = self._begun(frame)
        step = round(_TICKS / self._rate)
        ticks = self._last + step if seconds is None else round(seconds * _TICKS)
        if self.frames == 0 and seconds is None:
            ticks = 0
        self._last = max(ticks, self._last + 1)
        self._encode(frame, self._stream)
        self.frames += 1

    def finish(self) -> None:
        """Write what the encoder still holds.

        Raises:
            DataError: there was no frame.
        """
        if self._stream is None:
            raise DataError("a video takes at least one frame, and none came")
        self._container.mux(self._stream.encode(None))

    def _encode(self, frame: VideoFrame, stream: VideoStream) -> None:
        scaled = frame.reformat(
            width=stream.width, height=stream.height, format="yuv420p", threads=1
        )
        scaled.pts = self._last
        scaled.time_base = Fraction(1, _TICKS)
        self._container.mux(stream.encode(scaled))

    def _begun(self, frame: VideoFrame) -> VideoStream:
        available = pyav().codecs_available
        codec = next(name for name in _CODECS if name in available)
        rate = Fraction(self._rate).limit_denominator(_TICKS)
        added = self._container.add_stream(codec, rate=rate, options=_CODECS[codec])
        stream = cast("VideoStream", added)
        stream.width, stream.height = frame.width, frame.height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.thread_count = 1
        return stream


@contextmanager
def video_file(target: Path, *, rate: float = 25.0) -> Iterator[VideoWriter]:
    """Write a video, H.264 or, where that isn't to be had, MPEG-4.

    It has another name until it is complete: if the block raises, what was at `target` stays. What
    runs that were killed have left beside `target` is deleted.
    Equal frames at equal times give equal bytes.

    Args:
        target: ends in .mp4, .mkv or .mov.
        rate: frames a second, where no times are given.

    Raises:
        UsageError: another ending, a bad rate, or PyAV isn't installed.
        DataError: no frame was written; or the disk is full or can't be written to.
    """
    container_format = _FORMATS.get(target.suffix.lower())
    if container_format is None:
        raise UsageError(
            f"videos are written as {', '.join(_FORMATS)}, not {target.suffix or 'without ending'}",
            where=str(target),
        )
    if not 0 < rate <= _TICKS:
        raise UsageError(f"a rate is more than 0 and at most {_TICKS} frames a second, not {rate}")
    av = pyav()
    _clear_up(target)
    try:
        with (
            atomic_file(target) as draft,
            _held(draft),
            av.open(str(draft), "w", format=container_format, options=_CONTAINER) as container,
        ):
            writer = VideoWriter(container, rate)
            yield writer
            writer.finish()
    except OSError as error:
        if error.filename != str(target):  # of something else that the block does
            raise
        raise DataError(
            f"the video cannot be written: {error.strerror or error}",
            where=str(target),
            fix="free some space, or write it to another disk; what was there before stays",
        ) from error


@contextmanager
def _held(draft: Path) -> Iterator[None]:
    """Make a draft, and lock it for the length of the block: a kill lets go of it."""
    with draft.open("w+b") as file:
        with suppress(OSError):  # some file systems know no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _clear_up(target: Path) -> None:
    """Delete drafts of `target` that nobody holds."""
    for draft in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError), draft.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.unlink()


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Colour is stored for two by two pixels: the last row or column is repeated.
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
