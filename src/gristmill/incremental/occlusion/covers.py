"""What a picture is covered with."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.core.errors import UsageError

Fill: TypeAlias = Literal["mean", "blur"] | float
"""The picture's mean, channel by channel; the picture blurred; or a number for every channel."""


def cover(frame: Tensor, fill: Fill, patch: int) -> Tensor:
    """Return what takes a frame's place where it is covered, of the frame's shape.

    Args:
        frame: float32 [1, channels, height, width].
        fill: a number is one that the network is given, after any scaling.
        patch: side of the covered squares: a blur hides what is smaller.

    Raises:
        UsageError: the fill is none of these.
    """
    if fill == "mean":
        return frame.mean((2, 3), keepdim=True).expand_as(frame)
    if fill == "blur":
        return _blurred(frame, patch / 2)
    level: object = fill
    if not isinstance(level, int | float) or not math.isfinite(level):
        raise UsageError(f"expected a fill of 'mean', 'blur' or a number, found {level!r}")
    return torch.full_like(frame, level)


def _blurred(frame: Tensor, deviation: float) -> Tensor:
    """Blur by a Gaussian, along rows and then columns; edges count as going on unchanged."""
    reach = math.ceil(3 * deviation)
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
    bell = (bell / bell.sum()).view(1, 1, 1, -1)
    planes = frame[0][:, None]
    for _ in range(2):
        padded = functional.pad(planes, (reach, reach, 0, 0), mode="replicate")
        planes = functional.conv2d(padded, bell).transpose(2, 3)
    return planes[:, 0][None]
