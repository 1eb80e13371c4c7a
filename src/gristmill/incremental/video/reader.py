"""Frames of a video file, a camera or a stream of the network, through PyAV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.video.containers import reason, video_stream
from gristmill.incremental.video.frame_source import FrameSource, Picture
from gristmill.incremental.video.library import pyav

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_USUAL_RATE = 25.0
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d*)?)")
_MOST_LOST = 500  # packets in a row, after which a live stream counts as broken


class VideoReader(FrameSource):
    """Frames of what PyAV has opened.

    Pictures that the file says are shown turned (as telephones record them) are turned upright.
    What the decoder marks as damaged is dropped, too.

    Args:
        container: the opened file, device or stream; closed with the reader.
        name: for messages.
        live: whether it goes on without an end: times then count from the first frame.
        threads: that decode, at least 1; 0 is one for each processor.
    """

    def __init__(
        self, container: InputContainer, name: str, *, live: bool = False, threads: int = 1
    ) -> None:
        super().__init__(name)
        self._container = container
        self.live = live
        try:
            self._stream = _prepared(video_stream(container, name), threads)
        except BaseException:
            container.close()
            raise
        stream = self._stream
        self.rate = float(stream.average_rate) if stream.average_rate else None
        self.expected = stream.frames or None
        self._duration = None if live else _announced(stream)
        self._end = 0.0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether file or device have been let go."""
        return self._closed

    def close(self) -> None:
        """Let file or device go; frames that are still to come don't."""
        if not self._closed:
            self._closed = True
            self._container.close()

    def _pictures(self) -> Iterator[Picture]:
        origin = None if self.live else _start(self._stream)
        seconds, step = 0.0, 1 / (self.rate or _USUAL_RATE)
        following = 0.0
        for frame in self._decoded():
            if frame.pts is None:
                seconds = following
            else:
                origin = frame.time if origin is None else origin
                seconds = frame.time - origin
            following = seconds + step
            self._end = seconds + (float(frame.duration * (frame.time_base or 0)) or step)
            yield seconds, _upright(frame)

    def _to_come(self, shown: int) -> int:
        # AVI counts frames that only say that the one before goes on, and that nobody decodes;
        # Matroska counts none: of a part that is missing, its mean rate tells how many it had.
        if self._duration is None or not shown:
            return super()._to_come(shown)
        left = self._duration - self._end
        if left < 0.5 * self._end / shown:
            return 0
        if self.expected:
            return super()._to_come(shown)
        return round(left * (shown + self.dropped) / self._end)

    def _decoded(self) -> Iterator[VideoFrame]:
        lost = 0
        for packet in self._packets():
            frames = self._frames_of(packet)
            lost = 0 if frames else lost + 1
            for frame in frames:
                if self._closed:
                    return
                yield frame
            if self.live and lost >= _MOST_LOST:
                self.fault = f"{lost} packets in a row could not be decoded"
                return

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        errors = pyav().FFmpegError
        packets = self._container.demux(self._stream)
        while not self._closed:
            try:
                packet = next(packets, None)
            except errors as error:
                self.fault = reason(error)
                return
            if packet is None:
                return
            yield packet

    def _frames_of(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        try:
            frames = packet.decode()
        except pyav().FFmpegError:
            self.dropped += 1
            return []
        sound = [frame for frame in frames if not frame.is_corrupt]
        self.dropped += len(frames) - len(sound)
        return sound


def _prepared(stream: VideoStream, threads: int) -> VideoStream:
    stream.codec_context.thread_count = threads
    if threads != 1:
        stream.thread_type = "AUTO"
    return stream


def _announced(stream: VideoStream) -> float | None:
    """Return how long the file says that it is, in seconds; None where it doesn't.

    The library's own figure may be one of what is there, and not of what was.
    """
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    clock = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if clock is None:
        return None
    hours, minutes, seconds = map(float, clock.groups())
    return 3600 * hours + 60 * minutes + seconds


def _start(stream: VideoStream) -> float | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    image = np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
