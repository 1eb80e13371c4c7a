"""One picture of a stream as it comes over the wire: a file's bytes, or its bare pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import DataError, UsageError
from gristmill.serve.offline.images import image_array
from gristmill.serve.refusal import Refusal
from gristmill.store.signature import Field

_NO_ALPHA = "leave out every fourth byte: a canvas gives red, green, blue and opacity"


class Frame(NamedTuple):
    """A picture that is not decoded yet.

    Attributes:
        body: its bytes.
        raw: whether they are its pixels, row by row, red first; else those of a JPEG or PNG file.
        number: which one of its stream, from 0, where that is counted.
    """

    body: bytes
    raw: bool = False
    number: int = 0

    def image(self, height: int, width: int) -> NDArray[np.uint8]:
        """Decode it: uint8[height, width, 3].

        Raises:
            Refusal: 422, it is no picture of that size; 415, there is nothing to decode it with.
        """
        if self.raw:
            return self._pixels(height, width)
        try:
            return image_array(self.body, Field("picture", "image", shape=[height, width, 3]))
        except DataError as error:
            raise wrong_picture(error.message) from None
        except UsageError as error:
            raise Refusal(
                415, "no_decoder", error.message, fix="send bare pixels, or " + str(error.fix)
            ) from None

    def _pixels(self, height: int, width: int) -> NDArray[np.uint8]:
        expected = height * width * 3
        if len(self.body) != expected:
            raise wrong_picture(
                f"expected {expected} bytes, the pixels of {width}x{height}, red first, "
                f"found {len(self.body)}",
                fix=_NO_ALPHA if len(self.body) == height * width * 4 else None,
            )
        return np.frombuffer(self.body, np.uint8).reshape(height, width, 3)


def wrong_picture(message: str, *, fix: str | None = None) -> Refusal:
    """Return the refusal of what is no picture that the model can be asked about."""
    return Refusal(422, "wrong_picture", message, fix=fix)
