"""A heat map over its picture, with a scale that says what the colours mean."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import UsageError

_FOR = np.array((215.0, 25.0, 28.0))
_AGAINST = np.array((44.0, 100.0, 200.0))
_SMALLEST = 256
"""Pixels of the shorter side; smaller pictures are enlarged, for letters to be read."""
_MARGIN, _BAR, _TEXT, _LINE = 8, 14, 86, 18


def drawn(picture: NDArray[np.uint8], values: NDArray[np.float32], title: str) -> NDArray[np.uint8]:
    """Draw values over a picture: red where covering lowers the score, blue where it raises it.

    The largest value, or the lowest if it is further from 0, has the fullest colour.

    Args:
        picture: uint8[height, width, 3].
        values: float32[height, width], not a number where there is none.
        title: put above it.

    Returns:
        uint8[height, width, 3], larger than the picture by its margins.

    Raises:
        UsageError: Pillow is not installed.
    """
    pillow = _pillow()
    factor = max(1, -(-_SMALLEST // min(picture.shape[:2])))
    most = float(np.nanmax(np.abs(values))) or 1.0
    grey = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    over = _coloured(values / most, 0.35 + 0.5 * (grey[:, :, None] / 255))
    over = over.repeat(factor, 0).repeat(factor, 1)
    height, width = over.shape[:2]
    page = np.full(
        (height + 2 * _MARGIN + _LINE, width + 3 * _MARGIN + _BAR + _TEXT, 3), 255, np.uint8
    )
    top, left = _MARGIN + _LINE, 2 * _MARGIN + width
    page[top : top + height, _MARGIN : _MARGIN + width] = over
    scale = np.linspace(1, -1, height)[:, None].repeat(_BAR, 1)
    page[top : top + height, left : left + _BAR] = _coloured(scale, np.full((1, 1, 1), 0.85))
    image = pillow.Image.fromarray(page)
    draw = pillow.ImageDraw.Draw(image)
    font = pillow.ImageFont.load_default(12)
    draw.text((_MARGIN, _MARGIN - 2), title, fill="black", font=font)
    text, low = left + _BAR + 4, top + height - 1
    draw.text((text, top), f"{most:+.3g}\nfor it", fill="black", font=font)
    draw.text((text, (top + low) / 2), "0", fill="black", font=font, anchor="lm")
    draw.text((text, low - 2 * _LINE), f"against it\n{-most:+.3g}", fill="black", font=font)
    found: NDArray[np.uint8] = np.asarray(image)
    return found


def written(image: NDArray[np.uint8], path: Path) -> None:
    """Write an image, uint8[height, width, 3], in one go: never half a file under its name.

    Raises:
        UsageError: Pillow is not installed, or knows no format by that suffix.
        OSError: the file can't be written.
    """
    data = io.BytesIO()
    _pillow().Image.fromarray(image).save(data, format_of(path))
    write_atomic(path, data.getvalue())


def format_of(path: Path) -> str:
    """Return Pillow's name of the format that a file's name asks for.

    Raises:
        UsageError: Pillow is not installed, or knows no format by that suffix.
    """
    suffix = path.suffix.lower()
    found: str | None = _pillow().Image.registered_extensions().get(suffix)
    if found is None:
        raise UsageError(
            f"no format of pictures ends in {suffix!r}", where=str(path), fix="save as .png"
        )
    return found


def _coloured(values: NDArray[np.floating], ground: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours of values of -1 to 1 over a grey ground of 0 to 1; only the ground where not any."""
    strength = np.nan_to_num(np.abs(values))[:, :, None] ** 0.75
    colour = np.where(values[:, :, None] > 0, _FOR, _AGAINST)
    mixed = 255 * ground * (1 - 0.8 * strength) + 0.8 * strength * colour
    found: NDArray[np.uint8] = mixed.clip(0, 255).astype(np.uint8)
    return found


def _pillow() -> ModuleType:
    try:
        import PIL
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ModuleNotFoundError as error:
        raise UsageError(
            "drawing a heat map needs the package 'pillow', which is not installed",
            fix="pip install 'gristmill[video]'",
        ) from error
    return PIL
