"""Images decoded to the pixels that a bundle asks for; needs the package pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import DataError, UsageError
from gristmill.store.signature import Field

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Of 8 bits a channel: more would be cut off without a word."""


def image_array(source: Path | bytes, field: Field) -> NDArray[np.uint8]:
    """Return uint8[height, width, channels]: grey or RGB, as the field asks; alpha is left out.

    Args:
        source: a file, or its bytes.
        field: its shape is what the image must have; nothing is scaled.

    Raises:
        DataError: it is no image, or one of another size or depth.
        UsageError: pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise UsageError(
            "images need the package 'pillow', which is not installed", fix="pip install pillow"
        ) from error
    height, width, channels = field.inner
    try:
        opened: Any = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        with opened as image:
            if image.size != (width, height):
                raise DataError(
                    f"expected an image of {width}x{height} pixels, "
                    f"found {image.width}x{image.height}"
                )
            if image.mode not in _MODES:
                raise DataError(f"expected 8 bits a channel, found an image of mode {image.mode}")
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.uint8)
    except UnidentifiedImageError as error:  # which says where, and nothing more
        raise DataError("expected an image, found a file of another kind, or damaged") from error
    except FileNotFoundError as error:
        raise DataError(f"expected an image, found no file {error.filename}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"expected an image, found none: {error}") from error
    return pixels.reshape(height, width, channels)
