"""One way in for all that frames come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gristmill.core.errors import UsageError
from gristmill.incremental.video.containers import open_address, open_camera, open_file, shown
from gristmill.incremental.video.frame_source import FrameSource
from gristmill.incremental.video.images import SUFFIXES, ImageFiles, image_files
from gristmill.incremental.video.reader import VideoReader

_SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
_CAMERAS = "/dev/video"


def open_video(
    source: str | Path,
    *,
    rate: float | None = None,
    threads: int = 1,
    timeout: float = 10.0,
    options: Mapping[str, str] | None = None,
) -> FrameSource:
    """Open whatever shows frames.

    Args:
        source: a video file; a picture or a folder of pictures; a camera, `/dev/video0`; or an
            address, such as `rtsp://...` or `http://...`.
        rate: frames a second of a folder of pictures; 25 if not given.
        threads: that decode; 0 is one for each processor.
        timeout: seconds to wait for a camera or the network, at the start and between frames.
        options: of FFmpeg, for cameras and addresses, such as `{"video_size": "640x360"}`.

    Returns:
        The frames, to be used in a `with` block.

    Raises:
        UsageError: no such source, a bad argument, or PyAV isn't installed.
        DataError: it is not a video.
    """
    if rate is not None and not 0 < rate <= 1000:
        raise UsageError(f"a rate is more than 0 and at most 1000 frames a second, not {rate}")
    if threads < 0:
        raise UsageError(f"threads are 0 (as many as processors) or more, not {threads}")
    if not timeout > 0:
        raise UsageError(f"a timeout is more than 0 seconds, not {timeout}")
    text = str(source)
    scheme, colon, _ = text.partition("://")
    if colon and isinstance(source, str):
        if scheme not in _SCHEMES:
            raise UsageError(
                f"no frames come from {scheme}:// addresses",
                where=shown(text),
                fix=f"use one of {', '.join(_SCHEMES)}, or a path",
            )
        container = open_address(text, options or {}, timeout)
        return VideoReader(container, shown(text), live=True, threads=threads)
    if text.startswith(_CAMERAS):
        container = open_camera(text, options or {}, timeout)
        return VideoReader(container, text, live=True, threads=threads)
    path = Path(source)
    if path.is_dir():
        return ImageFiles(image_files(path), text, rate=rate or 25.0)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return ImageFiles([path], text, rate=rate or 25.0)
    return VideoReader(open_file(path), text, threads=threads)
