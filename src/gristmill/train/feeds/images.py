"""Images kept as bytes and normalised as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.columns import as_array
from gristmill.train.feeds.tensors import aligned


class Images:
    """Images uint8 as inputs float32[rows, channels, height, width]: (byte / 255 - mean) / std.

    A quarter of the memory of the same images as floats.

    Args:
        pixels: uint8[n, height, width, channels], or [n, height, width] for one channel, in a form
            that `as_array` takes.
        targets: of each image, as `Arrays` takes them: classes, or masks [n, height, width].
        mean, std: of each channel, on the scale 0 to 1; the same for all where there is one.
        weights: as of `Arrays`.

    Raises:
        TrainError: the pixels are no such array, `mean` or `std` fit no channel, or what `Arrays`
            refuses.
    """

    def __init__(
        self,
        pixels: Any,
        targets: Any,
        *,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        weights: Any = None,
    ) -> None:
        array = as_array(pixels, "pixels")
        if array.dtype != np.uint8 or array.ndim not in (3, 4):
            raise TrainError(
                "expected images uint8[n, height, width, channels], "
                f"found {array.dtype}{list(array.shape)}"
            )
        channels = array.shape[3] if array.ndim == 4 else 1
        self._rows = Arrays(array, targets=targets, weights=weights)
        self.mean, self.std = (_of_channels(each, channels) for each in (mean, std))
        if not all(each > 0 for each in self.std):
            raise TrainError(f"std must be above 0, found {list(self.std)}")

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return the images at these positions, int64[n], in this order."""
        batch = self._rows.take(rows)
        pixels = batch.inputs[0] if batch.inputs[0].dim() == 4 else batch.inputs[0].unsqueeze(3)
        # One multiplication and one addition a pixel, once the constants are known.
        scale = 1 / (255 * torch.tensor(self.std))
        shift = -torch.tensor(self.mean) / torch.tensor(self.std)
        images = (pixels.to(torch.float32) * scale + shift).permute(0, 3, 1, 2)
        return Batch((aligned(images),), batch.targets, batch.weights)

    def __fingerprint__(self) -> str:
        return fingerprint((self._rows, self.mean, self.std))


def _of_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise TrainError(f"expected one number for each of {channels} channels, found {values!r}")
    return tuple(values) if len(values) == channels else tuple(values) * channels
