"""A folder of pictures as a video."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.incremental.video.containers import LARGEST_FRAME
from gristmill.incremental.video.frame_source import FrameSource, Picture
from gristmill.incremental.video.library import pyav

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_FORMATS = "bmp_pipe,jpeg_pipe,pgm_pipe,png_pipe,ppm_pipe,tiff_pipe,webp_pipe"
_STRICT = {"err_detect": "explode"}  # else half of a JPEG is a picture with a grey lower part


class ImageFiles(FrameSource):
    """Pictures, one file a frame.

    Args:
        files: in their order.
        name: for messages.
        rate: frames a second; from it come their times.
    """

    def __init__(self, files: Sequence[Path], name: str, *, rate: float = 25.0) -> None:
        super().__init__(name)
        pyav()
        self._files = files
        self.rate = rate
        self.expected = len(files)
        self._closed = False

    def close(self) -> None:
        """Read no more of them."""
        self._closed = True

    def _pictures(self) -> Iterator[Picture]:
        for number, file in enumerate(self._files):
            if self._closed:
                return
            image = _decoded(file)
            if image is None:
                self.dropped += 1
            else:
                yield number / (self.rate or 1.0), image


def image_files(folder: Path) -> list[Path]:
    """List the pictures of a folder, 2.png before 10.png.

    Raises:
        UsageError: there are none.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    if not found:
        raise UsageError(
            "no pictures in this folder",
            where=str(folder),
            fix=f"pictures end in {', '.join(sorted(SUFFIXES))}",
        )
    return sorted(found, key=_by_number)


def _by_number(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"(\d+)", path.name)
    numbered = [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
    return numbered, path.name


def _decoded(file: Path) -> NDArray[np.uint8] | None:
    # From bytes, so that what is in the file decides, never a pattern in its name.
    av = pyav()
    options = {"format_whitelist": _FORMATS, "max_pixels": str(LARGEST_FRAME)}
    try:
        with av.open(io.BytesIO(file.read_bytes()), "r", options=options) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = _STRICT
            frame = next(container.decode(stream), None)
            image = None if frame is None else frame.to_ndarray(format="rgb24", threads=1)
    except (av.FFmpegError, OSError, IndexError):
        return None
    return image
