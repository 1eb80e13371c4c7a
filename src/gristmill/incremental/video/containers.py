"""Files, devices and streams opened by PyAV, with every failure put into words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video.index import what_is_missing
from gristmill.incremental.video.library import pyav

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

Kind: TypeAlias = Literal["file", "camera", "stream"]

LARGEST_FRAME = 64_000_000
"""Pixels of the largest frame that is decoded, 8000 x 8000: a small file may announce any size."""

# Containers of moving pictures, by FFmpeg's names. Not among them: scripts and playlists that make
# it open other files (concat, hls, dash), and texts that it would draw (tty).
_FILES = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,av1,obu,ivf,flv,asf,ogg,mxf,nut,gif,apng,"
    "yuv4mpegpipe,m4v,mjpeg,dv,rm,wtv,vc1,png_pipe,jpeg_pipe,bmp_pipe,webp_pipe,tiff_pipe,ppm_pipe,"
    "pgm_pipe"
)
_LIMITS = {"max_pixels": str(LARGEST_FRAME)}
_SOURCES = (
    "give the path of a video, a picture or a folder of pictures, a camera such as /dev/video0, or "
    "an address"
)

_WHOLE = (
    "copy it again; if it is so where it was recorded, the recording did not end well: repeat it"
)


def open_file(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        UsageError: there is no such file.
        DataError: it is empty, damaged at its beginning, without its index, or not a video.
    """
    if not path.is_file():
        what = "this is not a file" if path.exists() else "there is no such file"
        raise UsageError(what, where=str(path), fix=_SOURCES)
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=str(path), fix="copy or record it again")
    options = {**_LIMITS, "format_whitelist": _FILES, "protocol_whitelist": "file"}
    try:
        container = _opened(f"file:{path.absolute()}", str(path), "file", options=options)
    except DataError as error:
        _check_whole(path, error)
        raise
    if not container.streams:
        _check_whole(path, None)
    return container


def _check_whole(path: Path, cause: DataError | None) -> None:
    """Say what is missing, where that is why no video was found in a file.

    Raises:
        DataError: something is missing.
    """
    missing = what_is_missing(path)
    if missing is not None:
        message = f"the video is not whole: {missing}"
        raise DataError(message, where=str(path), fix=_WHOLE) from cause


def open_camera(device: str, options: Mapping[str, str], timeout: float) -> InputContainer:
    """Open a camera of this machine, such as `/dev/video0`.

    Raises:
        UsageError: there is no such device.
        DataError: it can't be opened.
    """
    if not Path(device).exists():
        raise UsageError(
            "there is no such camera", where=device, fix="`ls /dev/video*` lists the cameras"
        )
    given = {**_LIMITS, **options}
    return _opened(device, device, "camera", options=given, format="v4l2", timeout=timeout)


def open_address(address: str, options: Mapping[str, str], timeout: float) -> InputContainer:
    """Open a stream of the network.

    Raises:
        DataError: it can't be reached, or isn't a video.
    """
    given = {**_LIMITS, **options}
    if address.startswith("rtsp"):
        given.setdefault("rtsp_transport", "tcp")  # lost datagrams would show as grey blocks
    return _opened(address, shown(address), "stream", options=given, timeout=timeout)


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the container's first video.

    Raises:
        DataError: there is none, or its frames are too large.
    """
    streams = container.streams.video
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise DataError(f"no video in it, only {', '.join(kinds) or 'nothing'}", where=name)
    stream = streams[0]
    if stream.width * stream.height > LARGEST_FRAME:
        raise DataError(
            f"frames of {stream.width}x{stream.height} are larger than the "
            f"{LARGEST_FRAME // 1_000_000} million pixels that are decoded",
            where=name,
        )
    return stream


def shown(address: str) -> str:
    """Leave name and password out of an address, for messages."""
    scheme, colon, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{colon}{host.rpartition('@')[2]}{slash}{path}"


def reason(error: Exception) -> str:
    """Put an error of PyAV into a few words."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "no answer in time" if text == "Immediate exit requested" else text


def _opened(source: str, name: str, kind: Kind, **how: Any) -> InputContainer:
    av = pyav()
    try:
        container: InputContainer = av.open(source, "r", **how)
    except (av.FFmpegError, OSError) as error:
        fix = {
            "file": "if no player shows it, copy or record it again; else convert it to MP4",
            "camera": "check that no other program uses it and that you may read it",
            "stream": "check the address, and that this machine can reach it",
        }[kind]
        # The library's answer to a format that is not among those allowed.
        refused = kind == "file" and isinstance(error, av.ArgumentError)
        why = "not one of the formats that are read" if refused else reason(error)
        raise DataError(
            f"this {kind} can't be opened as a video: {why}", where=name, fix=fix
        ) from error
    return container
