"""Images: formats, sizes and colours of a column of encoded images."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.documents import Documented
from gristmill.validate.statistics.hashing import hash_bytes
from gristmill.validate.statistics.numbers import Numbers

SAMPLE_IMAGES = 256
_MAX_PIXELS = 1 << 26
_MAGIC = (
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("JPEG", b"\xff\xd8\xff"),
    ("GIF", b"GIF8"),
    ("BMP", b"BM"),
    ("TIFF", b"II*\x00"),
    ("TIFF", b"MM\x00*"),
)
UNKNOWN = "other"


@dataclass(frozen=True)
class Images(Documented):
    """Mergeable statistics of encoded images; `a + b` is of both columns on end.

    Attributes:
        formats: format by the first bytes ("PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF", "other")
            -> images.
        channels: number of channels (1 grey, 3 colours, 4 with alpha or CMYK) -> images.
        unreadable: how many have no readable header, or no file.
        widths, heights: in pixels, from the headers. byte_sizes: of the encoded images.
        hashes: of the sampled images, ascending: uint64[k].
        colours: mean and standard deviation of red, green and blue of each sampled image, in
            [0, 1]: float64[k, 6]; NaN for one that cannot be decoded whole.
    """

    formats: dict[str, int]
    channels: dict[int, int]
    unreadable: int
    widths: Numbers
    heights: Numbers
    byte_sizes: Numbers
    hashes: NDArray[np.uint64]
    colours: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.colours.shape != (len(self.hashes), 6):
            raise ValueError(f"expected 6 figures per image, found {self.colours.shape}")

    @classmethod
    def of(cls, column: pl.Series, folder: Path | None = None) -> Self:
        """Compute the state of one partition; nulls are left out.

        Args:
            column: encoded images (Binary), or their paths (String) below `folder`.
            folder: where paths start; a path that leaves it is unreadable.

        Raises:
            UsageError: the column holds neither, or paths come without a folder.
        """
        contents = _contents(column.drop_nulls(), folder)
        headers = [header for content in contents if (header := _header(content))]
        words = np.array([hash_bytes(content) for content in contents], dtype=np.uint64)
        order, places = np.unique(words, return_index=True)
        chosen = places[:SAMPLE_IMAGES]
        colours = [_colours(contents[place]) for place in chosen.tolist()]
        return cls(
            formats=dict(sorted(Counter(map(format_of, contents)).items())),
            channels=dict(sorted(Counter(header[2] for header in headers).items())),
            unreadable=len(contents) - len(headers),
            widths=_figures([header[0] for header in headers]),
            heights=_figures([header[1] for header in headers]),
            byte_sizes=_figures([len(content) for content in contents]),
            hashes=order[:SAMPLE_IMAGES],
            colours=np.array(colours, dtype=np.float64).reshape(len(chosen), 6),
        )

    def __add__(self, other: Images) -> Images:
        words, places = np.unique(np.concatenate([self.hashes, other.hashes]), return_index=True)
        return Images(
            formats=dict(sorted((Counter(self.formats) + Counter(other.formats)).items())),
            channels=dict(sorted((Counter(self.channels) + Counter(other.channels)).items())),
            unreadable=self.unreadable + other.unreadable,
            widths=self.widths + other.widths,
            heights=self.heights + other.heights,
            byte_sizes=self.byte_sizes + other.byte_sizes,
            hashes=words[:SAMPLE_IMAGES],
            colours=np.concatenate([self.colours, other.colours])[places[:SAMPLE_IMAGES]],
        )

    @property
    def images(self) -> int:
        """How many images there are, unreadable ones included."""
        return sum(self.formats.values())

    @property
    def undecodable(self) -> int:
        """How many of the sampled images cannot be decoded whole."""
        return int(np.isnan(self.colours).any(axis=1).sum())

    @property
    def colour_means(self) -> NDArray[np.float64]:
        """Mean of red, green and blue over the sample, in [0, 1]: float64[3]; NaN without."""
        return self._colour_figures()[:3]

    @property
    def colour_spreads(self) -> NDArray[np.float64]:
        """Mean standard deviation within an image, by channel: float64[3]; NaN without."""
        return self._colour_figures()[3:]

    def _colour_figures(self) -> NDArray[np.float64]:
        known = self.colours[~np.isnan(self.colours).any(axis=1)]
        return known.mean(axis=0) if len(known) else np.full(6, np.nan)

    def describe(self) -> dict[str, object]:
        """The figures, JSON-able."""
        parts = {"width": self.widths, "height": self.heights, "bytes": self.byte_sizes}
        known = len(self.colours) - self.undecodable
        return {
            "images": self.images,
            "formats": self.formats,
            "channels": {str(number): count for number, count in self.channels.items()},
            "unreadable": self.unreadable,
            "sampled": len(self.colours),
            "undecodable": self.undecodable,
            **{name: [part.low, part.mean, part.high] for name, part in parts.items()},
            "colour_means": self.colour_means.tolist() if known else [],
            "colour_spreads": self.colour_spreads.tolist() if known else [],
        }


def format_of(content: bytes) -> str:
    """Name the format of an encoded image by its first bytes; "other" for any but our six."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    return next((name for name, magic in _MAGIC if content.startswith(magic)), UNKNOWN)


def _contents(column: pl.Series, folder: Path | None) -> list[bytes]:
    if column.dtype == pl.Binary:
        return column.to_list()
    if column.dtype != pl.String:
        raise UsageError(f"expected encoded images or paths of images, found {column.dtype}")
    if folder is None:
        raise UsageError(
            "expected the folder that paths of images start from, found none",
            fix="pass folder=",
        )
    return [_read(folder.resolve(), text) for text in column.to_list()]


def _read(folder: Path, text: str) -> bytes:
    """The bytes of a file below a folder; none where there is no such file there."""
    try:
        path = (folder / text).resolve()
        return path.read_bytes() if path.is_relative_to(folder) else b""
    except (OSError, ValueError):  # no such file, or a path no file can have: told as unreadable
        return b""


def _figures(numbers: list[int]) -> Numbers:
    return Numbers.of(pl.Series(numbers, dtype=pl.Int64))


def _header(content: bytes) -> tuple[int, int, int] | None:
    """Width, height and channels from an image's header; None where it has none."""
    from PIL import Image

    if format_of(content) == UNKNOWN:
        return None
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
            return (*image.size, len(image.getbands()))
    # Damaged headers raise whatever the format's reader trips over.
    except Exception:
        return None


def _colours(content: bytes) -> list[float]:
    """Mean and deviation of red, green and blue in [0, 1]; NaN for what cannot be decoded."""
    from PIL import Image

    header = _header(content)
    if header is None or header[0] * header[1] > _MAX_PIXELS:
        return [np.nan] * 6
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
            image.load()
            pixels = np.asarray(image.convert("RGB"), dtype=np.float64).reshape(-1, 3) / 255
    except Exception:  # damaged pixels raise whatever the format's reader trips over
        return [np.nan] * 6
    return [*pixels.mean(axis=0).tolist(), *pixels.std(axis=0).tolist()]
